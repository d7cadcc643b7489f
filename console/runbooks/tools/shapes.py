"""What a tool is: an operator's action with the fields it asks for and the look that says what it would do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User

Choices = Sequence[tuple[str, str]]
Given = Mapping[str, Any]  # field → text, of a field that takes several a tuple of texts
MOMENT = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True)
class Asked:
    """Where and when a tool is asked for: the alarm's scope ("" where it has none) and the time."""

    scope: str
    now: datetime


Preset = Callable[[Asked], Given]


@dataclass(frozen=True)
class Field:
    """One thing that a tool asks for. `kind` is choice, several, number, text, long or moment (UTC)."""

    name: str
    label: str
    kind: str
    choices: Callable[[Asked], Choices] | None = None
    hint: str = ""
    unit: str = ""
    required: bool = True


@dataclass(frozen=True)
class Look:
    """What a change would do: the action's own words, and the simulation or the flips behind them where there are."""

    preview: Preview
    lane: Any = None
    policy: Any = None


def plain_look(person: User, action: Action, given: Given) -> Look:
    """The action's own preview: a count or a sentence."""
    return Look(action.preview())


@dataclass(frozen=True)
class Tool:
    """An action of the console as a form. `build` raises `ApiError` for values that can't be."""

    slug: str
    title: str
    about: str
    role: str
    fields: tuple[Field, ...]
    build: Callable[[Given], Action]
    look: Callable[[User, Action, Given], Look] = plain_look
    expires: bool = True
    preset: Preset = lambda asked: {}

    @property
    def takes(self) -> str:
        """The role that it takes, in words."""
        return StaffRole.Role(self.role).label

    def may(self, person: User) -> bool:
        return self.role in person.staff_roles


def moment_of(given: Given, name: str) -> datetime:
    """A moment of a form, UTC. Raises `ApiError`."""
    try:
        return datetime.strptime(given.get(name, ""), MOMENT).replace(tzinfo=UTC)
    except ValueError:
        message = "Give the time as 2026-11-22T14:00, in UTC."
        raise ApiError("invalid_value", message, param=name) from None


def number_of(given: Given, name: str) -> int:
    """The id that a choice stands for. Raises `ApiError`."""
    text = given.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ApiError("invalid_value", "Choose one of the list.", param=name)
    return int(text)

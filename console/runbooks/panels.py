"""A runbook as a person sees it: its steps, the one that is open with what it would do, and applying that.

What is open and what was filled in stands in the address, so that a page that shows a runbook (its own, an alarm's, an
incident's) needs no script: `?do=<step>` opens a step, `v-<field>` are its values. Applying takes the token that a look
at exactly this change gave out, so that nobody changes anything unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.db import transaction
from django.http import QueryDict

from accounts import actions, approvals
from accounts.actions import Action
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, User
from console.models import RunbookUse
from console.operations.expiries import EXPIRIES, expiry
from console.runbooks.books.shapes import Runbook, Step
from console.runbooks.tools import catalog as tools
from console.runbooks.tools.shapes import Asked, Choices, Field, Given, Look, Tool

SEEN_FOR = timedelta(minutes=15)
SALT = "runbook step seen"
PREFIX = "v-"


@dataclass(frozen=True)
class Input:
    """A field as the form shows it: its value now, and what can be chosen."""

    field: Field
    value: Any
    choices: Choices

    @property
    def name(self) -> str:
        return PREFIX + self.field.name


@dataclass(frozen=True)
class Panel:
    """The open step: what it asks for, what it would do, and why it can't be done. `token` lets it be applied."""

    step: Step
    tool: Tool
    may: bool
    inputs: list[Input]
    given: Given
    look: Look | None = None
    token: str = ""
    error: ApiError | None = None
    reason: str = ""
    expires: str = ""
    second_person: str | None = None


@dataclass(frozen=True)
class Line:
    """A step in the list. `number` is its key on the keyboard, from 1 to 9; None where it runs nothing."""

    step: Step
    tool: Tool | None
    number: int | None
    may: bool
    open: bool


@dataclass(frozen=True)
class Shown:
    """All that a page shows of a runbook. `scope` is the alarm's, `incident` the one it is shown for."""

    book: Runbook
    sections: list[tuple[str, list[Line]]]
    others: list[Tool]
    scope: str
    incident: int | None
    panel: Panel | None = None
    expiries: tuple = field(default=EXPIRIES)


@dataclass(frozen=True)
class Wanted:
    """What a person wants to do: a step of a runbook with its values."""

    book: Runbook
    step: Step
    tool: Tool
    given: Given

    def action(self) -> Action:
        return self.tool.build(self.given)


def shown(
    person: User,
    book: Runbook,
    asked: QueryDict,
    now: datetime,
    *,
    scope: str = "",
    incident: int | None = None,
    error: ApiError | None = None,
) -> Shown:
    """A runbook, with the step open that the address (or a form that was refused) names."""
    opened = asked.get("do", "")
    panel = _panel(person, book, asked, Asked(scope, now), error) if opened else None
    return _listed(person, book, opened, scope, incident, panel)


def closed(person: User, book: Runbook, *, scope: str = "", incident: int | None = None) -> Shown:
    """A runbook with no step open."""
    return _listed(person, book, "", scope, incident, None)


def _listed(
    person: User, book: Runbook, opened: str, scope: str, incident: int | None, panel: Panel | None
) -> Shown:
    numbers = {step.name: number for number, step in enumerate(book.doing(), 1)}
    sections = [
        (section.title, [_line(person, step, numbers, opened) for step in section.steps])
        for section in book.sections
    ]
    used = {step.tool for step in book.doing()}
    others = [tool for tool in tools.TOOLS if tool.slug not in used]
    return Shown(book, sections, others, scope, incident, panel)


def _line(person: User, step: Step, numbers: Mapping[str, int], opened: str) -> Line:
    tool = tools.BY_SLUG.get(step.tool)
    number = numbers.get(step.name) if tool else None
    if number is not None and number > 9:
        number = None
    return Line(step, tool, number, tool is None or tool.may(person), bool(tool) and step.name == opened)


def step_of(book: Runbook, name: str) -> Step:
    """A step by its name; any other tool is a step without words. Raises `ApiError`."""
    for step in book.doing():
        if step.name == name:
            return step
    if name not in tools.BY_SLUG:
        raise ApiError("not_found", f"This runbook has no step {name!r:.40}.", param="do")
    tool = tools.BY_SLUG[name]
    return Step(tool.about, tool=name, verb=tool.title, preset=tool.preset)


def wanted(book: Runbook, name: str, form: QueryDict, asked: Asked) -> Wanted:
    """The step with its values: those of the form where it was filled in, else those that it begins with."""
    step = step_of(book, name)
    tool = tools.BY_SLUG[step.tool]
    filled = any(key.startswith(PREFIX) for key in form)
    given = _read(tool, form) if filled else {**tool.preset(asked), **step.preset(asked)}
    return Wanted(book, step, tool, given)


def _read(tool: Tool, form: QueryDict) -> dict[str, Any]:
    return {
        one.name: tuple(form.getlist(PREFIX + one.name))
        if one.kind == "several"
        else form.get(PREFIX + one.name, "").strip()
        for one in tool.fields
    }


def _panel(person: User, book: Runbook, form: QueryDict, asked: Asked, error: ApiError | None) -> Panel:
    want = wanted(book, form.get("do", ""), form, asked)
    tool = want.tool
    if not tool.may(person):
        return Panel(want.step, tool, False, [], want.given)
    inputs = [_input(one, want.given, asked) for one in tool.fields]
    given = {**want.given, **{one.field.name: one.value for one in inputs if one.value not in ("", ())}}
    want = Wanted(book, want.step, tool, given)
    panel = {
        "reason": form.get("reason", ""),
        "expires": form.get("expires", want.step.expires) if tool.expires else "",
        "error": error,
    }
    if _complete(tool, given):
        try:
            panel |= _looked(person, want)
        except ApiError as refusal:
            panel["error"] = error or refusal
    return Panel(want.step, tool, True, inputs, given, **panel)


def _input(one: Field, given: Given, asked: Asked) -> Input:
    choices = one.choices(asked) if one.choices else ()
    value = given.get(one.name, () if one.kind == "several" else "")
    if one.kind == "choice" and choices and value not in dict(choices):
        value = choices[0][0]
    return Input(one, value, choices)


def _complete(tool: Tool, given: Given) -> bool:
    return all(given.get(one.name) for one in tool.fields if one.required)


def _looked(person: User, want: Wanted) -> dict[str, Any]:
    action = want.action()
    look = want.tool.look(person, action, want.given)
    token = signing.dumps(_claims(person, want, look.preview.before), salt=SALT)
    second = action.second_person()
    return {"look": look, "token": token, "second_person": second}


def _claims(person: User, want: Wanted, before: dict) -> list:
    """What the token stands for; JSON as it comes back from it. A field that was left empty is the same as none."""
    given = sorted(
        [name, list(value) if isinstance(value, tuple) else value]
        for name, value in want.given.items()
        if value not in ("", ())
    )
    return [person.pk, want.book.slug, want.step.name, given, before]


def apply(
    person: User, want: Wanted, form: QueryDict, incident: int | None
) -> tuple[AuditEntry | Approval, str]:
    """Make the change, or let it wait for a second person; with the words of what it does. Raises `ApiError`."""
    action = want.action()
    said = action.preview()
    _require_seen(form.get("seen", ""), _claims(person, want, said.before))
    until = expiry(form.get("expires", "")) if want.tool.expires else None
    reason = form.get("reason", "")
    with transaction.atomic():
        if isinstance(action, Approvable):
            done = approvals.submit(action, person, reason, until)
        else:
            done = actions.perform(action, person, reason, until)
        if isinstance(done, AuditEntry):
            used = {"runbook": want.book.slug, "step": want.step.name, "incident": incident}
            RunbookUse.objects.create(entry=done, **used)
    return done, said.sentence


def _require_seen(token: str, claims: list) -> None:
    try:
        seen = signing.loads(token, salt=SALT, max_age=SEEN_FOR)
    except signing.BadSignature:
        seen = None
    if seen != claims:
        message = "Look at what this change would do first: it was not previewed, or something changed since."
        raise ApiError("invalid_value", message, param="seen")

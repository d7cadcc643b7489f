"""What a runbook is: its sections in order, and in them steps that say what to do, open a page, or run an action."""

from collections.abc import Iterator
from dataclasses import dataclass

from console.runbooks.tools.shapes import Asked, Given, Preset


def nothing(asked: Asked) -> Given:
    return {}


@dataclass(frozen=True)
class Step:
    """One thing to do. `tool` runs an action in place, filled with `preset` and, where it can, ending after
    `expires` minutes; `page` is the name of an address that helps, `page_words` what its link says."""

    words: str
    tool: str = ""
    verb: str = ""
    preset: Preset = nothing
    expires: str = ""
    key: str = ""
    page: str = ""
    page_words: str = ""

    @property
    def name(self) -> str:
        """The step's own name where it runs an action, unique in its runbook."""
        return self.key or self.tool


@dataclass(frozen=True)
class Section:
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Runbook:
    """What to do about an alarm; `slug` is the alarm's name. `restored` are the published p50 and p99 of the time to
    recover, in minutes; None where none is published."""

    slug: str
    title: str
    about: str
    sections: tuple[Section, ...]
    restored: tuple[int, int] | None = None

    def steps(self) -> Iterator[Step]:
        for section in self.sections:
            yield from section.steps

    def doing(self) -> list[Step]:
        """The steps that run an action, in order: the first is the first mitigation."""
        return [step for step in self.steps() if step.tool]


def book(
    slug: str,
    title: str,
    about: str,
    *,
    detect: tuple[Step, ...],
    mitigate: tuple[Step, ...],
    escalate: tuple[Step, ...],
    roll_back: tuple[Step, ...],
    follow_up: tuple[Step, ...],
    restored: tuple[int, int] | None = None,
) -> Runbook:
    """A runbook with the sections that each one has."""
    sections = (
        Section("Detect", detect),
        Section("Mitigate", mitigate),
        Section("Escalate", escalate),
        Section("Roll back", roll_back),
        Section("Follow up", follow_up),
    )
    return Runbook(slug, title, about, sections, restored)

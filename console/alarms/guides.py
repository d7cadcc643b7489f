"""What to do about an alarm: the operators' pages of docs/operators/alarms/, read for the console."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings

FOLDER = settings.BASE_DIR / "docs" / "operators" / "alarms"


@dataclass(frozen=True)
class Section:
    """A heading with its paragraphs and its steps; the plain part of Markdown that these pages are written in."""

    title: str
    paragraphs: tuple[str, ...]
    steps: tuple[str, ...]


@cache
def of(alarm: str) -> tuple[Section, ...]:
    """The sections of an alarm's page, its opening words under "What it means"; empty where there is no page."""
    path = FOLDER / f"{alarm}.md"
    if not path.is_file():
        return ()
    _, _, text = path.read_text(encoding="utf-8").partition("\n")
    parts = [("What it means", text.partition("\n## ")[0])]
    parts += [tuple(part.split("\n", 1)) for part in text.split("\n## ")[1:]]
    return tuple(_section(title.strip(), body) for title, body in parts)


def _section(title: str, body: str) -> Section:
    plain = body.replace("*", "").replace("`", "")
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    steps = tuple(line.partition(". ")[2] for line in lines if line[0].isdigit())
    return Section(title, tuple(line for line in lines if not line[0].isdigit()), steps)

"""What a revision can do, read from its row's JSON into one typed value; a row that is wrong is refused by name.

Standard library only: pages, admission and workers read the same facts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from generation.engines.asked import ABILITIES, Ability

FULL = ("bf16", "fp32")
LOW = ("int8", "fp8")
PRECISIONS = (*FULL, *LOW)


class FactsInvalid(ValueError):
    """The facts of a registered model can't be used; the message names the key and what belongs there."""


@dataclass(frozen=True)
class ClipFacts:
    """A clip model. `sizes` are "WIDTHxHEIGHT" in pixels, the best first; `seconds` whole seconds, likewise.

    `steps_most` is the most denoising steps that make sense (a distilled model needs few), None where the tier alone
    decides. `image_to_video` says that a clip may begin from a picture, `needs_image` that it must. `precisions` begins
    with the full one. `options` are the engine's settings for this model (compile, attention, step cache), as its
    loader takes them. `memory_mb` is what loading needs at full precision, None where nobody has said. `world` names
    the prompts and the judge that fit it, "" where none do.
    """

    sizes: tuple[str, ...]
    seconds: tuple[int, ...]
    fps: int
    guidance: float
    precisions: tuple[str, ...]
    steps_most: int | None = None
    image_to_video: bool = False
    needs_image: bool = False
    options: Mapping[str, Any] | None = None
    memory_mb: int | None = None
    world: str = ""

    @property
    def low_precision(self) -> str | None:
        return low_of(self.precisions)


@dataclass(frozen=True)
class CodeFacts:
    """A code model; `context` is prompt and answer together, in tokens. `engine` names what runs it."""

    context: int
    precisions: tuple[str, ...]
    options: Mapping[str, Any] | None = None
    memory_mb: int | None = None
    engine: str = "local"

    @property
    def low_precision(self) -> str | None:
        return low_of(self.precisions)

    @property
    def ability(self) -> Ability:
        """What can be asked of the engine."""
        return ABILITIES[self.engine]


def read(kind: str, written: Mapping[str, Any], precision: str) -> ClipFacts | CodeFacts:
    """The facts of a model of `kind` ("clip" or "code") whose full precision is `precision`. Raises FactsInvalid."""
    if precision not in FULL:
        raise FactsInvalid(f"precision is {precision!r}; the full one is {' or '.join(FULL)}.")
    shape = ClipFacts if kind == "clip" else CodeFacts
    known = {field.name for field in fields(shape)}
    unknown = sorted(set(written) - known)
    if unknown:
        raise FactsInvalid(
            f"facts has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    values = {"precisions": [precision], **written}
    checks = CLIP_CHECKS if shape is ClipFacts else CODE_CHECKS
    missing = sorted(name for name, (_, needed) in checks.items() if needed and name not in values)
    if missing:
        raise FactsInvalid(f"facts lacks {', '.join(missing)}.")
    read_values = {name: _checked(name, checks[name][0], value) for name, value in values.items()}
    if read_values["precisions"][0] != precision:
        raise FactsInvalid(f"facts.precisions begins with the full precision, {precision}.")
    return shape(**read_values)


def low_of(precisions: tuple[str, ...]) -> str | None:
    """The variant that is meant by "low where it exists"; None where there is only the full one."""
    return next((name for name in precisions if name in LOW), None)


def _checked(name: str, check, value: Any) -> Any:
    try:
        return check(value)
    except (TypeError, ValueError, KeyError) as error:
        raise FactsInvalid(f"facts.{name} is {value!r:.120}: {error}") from error


def _sizes(value: Any) -> tuple[str, ...]:
    if not _filled_list(value) or not all(
        isinstance(size, str) and re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", size) for size in value
    ):
        raise ValueError('it is a list such as ["64x64"].')
    return tuple(value)


def _seconds(value: Any) -> tuple[int, ...]:
    if not _filled_list(value):
        raise ValueError("it is a list of whole seconds.")
    return tuple(_count(seconds) for seconds in value)


def _precisions(value: Any) -> tuple[str, ...]:
    if not _filled_list(value) or not set(value) <= set(PRECISIONS) or len(set(value)) < len(value):
        raise ValueError(f"it is a list of different ones of {', '.join(PRECISIONS)}.")
    return tuple(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("it is a whole number of at least 1.")
    return value


def _count_or_none(value: Any) -> int | None:
    return None if value is None else _count(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("it is a number of at least 0.")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("it is true or false.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is a text.")
    return value


def _engine(value: Any) -> str:
    if value not in ABILITIES:
        raise ValueError(f"it is one of {', '.join(ABILITIES)}.")
    return value


def _mapping(value: Any) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError("it is an object of settings.")
    return value or None


def _filled_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0


# name: (how it is read, whether it must be there)
CODE_CHECKS = {
    "context": (_count, True),
    "precisions": (_precisions, True),
    "options": (_mapping, False),
    "memory_mb": (_count_or_none, False),
    "engine": (_engine, False),
}
CLIP_CHECKS = {
    "sizes": (_sizes, True),
    "seconds": (_seconds, True),
    "fps": (_count, True),
    "guidance": (_number, True),
    "precisions": (_precisions, True),
    "steps_most": (_count_or_none, False),
    "image_to_video": (_flag, False),
    "needs_image": (_flag, False),
    "options": (_mapping, False),
    "memory_mb": (_count_or_none, False),
    "world": (_text, False),
}

"""How long the stages of an attempt took and when, as pages and the sample show it: plain values, no query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STAGE_WORDS = {
    "load": "Load the model",
    "encode_prompt": "Read the prompt",
    "denoise": "Denoise",
    "generate": "Write",
    "screen": "Text filter",
    "checkpoint": "Checkpoints",
    "preview": "Previews",
    "preview_scan": "Gates on previews",
    "decode": "Decode",
    "encode": "Encode",
    "scan": "Frame gates",
    "sign": "Sign and verify",
    "store": "Store",
}
# Beside the device, which is at the next clip meanwhile.
BESIDE = frozenset({"encode", "scan", "sign", "store"})
LEAST_WIDTH = 0.4  # percent; less can't be seen


@dataclass(frozen=True)
class Span:
    """When a stage ran, in percent of the attempt's length."""

    left: float
    width: float


@dataclass(frozen=True)
class StageTime:
    """Seconds in one stage, its percentage of the longest, and when it ran, where that was recorded."""

    name: str
    seconds: float
    percent: int
    spans: tuple[Span, ...] = ()
    beside: bool = False


def stage_times(
    stages: dict[str, float], trace: Iterable[Sequence] = (), length_ms: int | None = None
) -> list[StageTime]:
    """The stages of an attempt in the order of the way, with names for people; unknown ones last.

    `trace` holds [stage, start, end] in milliseconds since the claim, `length_ms` is how long the axis is.
    """
    entries = list(trace)
    order = [
        *(name for name in STAGE_WORDS if name in stages),
        *(name for name in stages if name not in STAGE_WORDS),
    ]
    longest = max(stages.values(), default=0) or 1
    axis = max([length_ms or 0, *(end for _, _, end in entries)], default=0) or 1
    return [
        StageTime(
            STAGE_WORDS.get(name, name),
            stages[name],
            round(100 * stages[name] / longest),
            tuple(_span(start, end, axis) for stage, start, end in entries if stage == name),
            name in BESIDE,
        )
        for name in order
    ]


def _span(start: int, end: int, axis: int) -> Span:
    width = max(LEAST_WIDTH, 100 * (end - start) / axis)
    return Span(round(min(100 * start / axis, 100 - width), 2), round(width, 2))

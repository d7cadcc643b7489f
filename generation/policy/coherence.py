"""From what people labelled to the warp error above which a clip counts as broken."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Separation:
    """A clip with an error above `threshold` counts as broken. `balanced_accuracy` is the mean of the shares told
    right among the coherent and among the broken."""

    threshold: float
    balanced_accuracy: float
    coherent: int
    broken: int


class OneKindOnly(ValueError):
    """Labels of both kinds are needed to tell them apart."""


def best_threshold(coherent: Sequence[float], broken: Sequence[float]) -> Separation:
    """The threshold that separates best, between the two errors that lie next to it; the lowest of equals.

    The lowest, because a broken clip that is let by costs more than a coherent one that is looked at.
    """
    if not coherent or not broken:
        raise OneKindOnly(f"{len(coherent)} coherent and {len(broken)} broken clips")
    seen = sorted({*coherent, *broken})
    # Below all of them, then halfway between neighbours, then above all.
    between = [(low + high) / 2 for low, high in zip(seen, seen[1:], strict=False)]
    candidates = [seen[0] / 2, *between, seen[-1]]

    def accuracy(limit: float) -> float:
        kept = sum(error <= limit for error in coherent) / len(coherent)
        caught = sum(error > limit for error in broken) / len(broken)
        return (kept + caught) / 2

    best = max(candidates, key=lambda limit: (accuracy(limit), -limit))
    return Separation(best, accuracy(best), len(coherent), len(broken))

"""Does a figure of a clip go with what people do afterwards? Spearman's rank correlation with a bootstrap interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LEAST = 30  # pairs; an interval over fewer says nothing
DRAWS = 1000
COVERAGE = 0.95


class Chance(Protocol):
    """What is drawn with: a `random.Random`, so that one seed gives one interval."""

    def randrange(self, stop: int) -> int: ...


@dataclass(frozen=True)
class Correlation:
    """`value` -1..1 with its interval; None with too few pairs, or where one side never varies."""

    pairs: int
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def says_something(self) -> bool:
        """The interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            found[place] = (start + 1 + end) / 2
        start = end
    return found


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation of the ranks; None where one side never varies."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} figures and {len(second)} outcomes are no pairs")
    if len(first) < 2:
        return None
    a, b = ranks(first), ranks(second)
    middle = (len(a) + 1) / 2
    together = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b)
    return together / spread**0.5 if spread else None


def correlation(
    first: Sequence[float], second: Sequence[float], chance: Chance, draws: int = DRAWS, least: int = LEAST
) -> Correlation:
    """Spearman with the percentile interval of `draws` resamples of the pairs (Efron 1979)."""
    count = len(first)
    value = spearman(first, second)
    if count < least or value is None:
        return Correlation(count)
    drawn = []
    for _ in range(draws):
        picked = [chance.randrange(count) for _ in range(count)]
        again = spearman([first[i] for i in picked], [second[i] for i in picked])
        if again is not None:
            drawn.append(again)
    drawn.sort()
    if not drawn:
        return Correlation(count)
    tail = (1 - COVERAGE) / 2
    low, high = (drawn[min(len(drawn) - 1, int(share * len(drawn)))] for share in (tail, 1 - tail))
    return Correlation(count, value, low, high)

"""What every benchmark shares: warm-up, repeats, medians, and a reference measured in the same run."""

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One result beside its reference: `ratio` is value ÷ reference_value, whichever way is better."""

    name: str
    value: float
    unit: str
    reference: str  # what was measured, in words
    reference_value: float

    @property
    def ratio(self) -> float:
        return self.value / self.reference_value

    def line(self) -> str:
        """The figure as one JSON object, to four significant digits."""
        fields = {
            "name": self.name,
            "value": significant(self.value),
            "unit": self.unit,
            "reference": self.reference,
            "reference_value": significant(self.reference_value),
            "ratio": significant(self.ratio),
        }
        return json.dumps(fields)


@dataclass(frozen=True)
class Run:
    """One run of a benchmark: where its scratch servers are, and how often it repeats.

    Django is set up on a freshly migrated, otherwise empty database when `measure(run)` is called.
    """

    database_url: str
    redis_url: str
    repeats: int = 5
    warmups: int = 1

    def median(self, once: Callable[[], float]) -> float:
        """The median of repeated measurements, after warm-ups that don't count."""
        for _ in range(self.warmups):
            once()
        return statistics.median(once() for _ in range(self.repeats))

    def beside(self, ours: Callable[[], float], reference: Callable[[], float]) -> tuple[float, float]:
        """The medians of both, measured in turns, so that a busy moment of the machine meets both."""
        for _ in range(self.warmups):
            ours()
            reference()
        pairs = [(ours(), reference()) for _ in range(self.repeats)]
        return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def per_second(count: int, work: Callable[[], object]) -> float:
    """How many a second, where `work` does `count` of them."""
    return count / seconds(work)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of the sorted values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), math.ceil(share * len(ordered))) - 1)]


def significant(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")

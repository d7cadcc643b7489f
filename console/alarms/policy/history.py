"""What an alarm looks at: counts in steps of time, and levels as they stood. Times in seconds.

A *measure* has a series per scope (a pool, a category; "" where there is one). Counts are pairs: `bad` of `total`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

Key = tuple[str, str]  # measure and scope


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of how many."""

    bad: int
    total: int

    @property
    def share(self) -> float:
        return self.bad / self.total if self.total else 0.0

    def without(self, part: "Counts") -> "Counts":
        return Counts(self.bad - part.bad, self.total - part.total)


NOTHING = Counts(0, 0)


class Moment(Protocol):
    """One look at everything that is measured."""

    def counts(self, measure: str, scope: str, window_s: int) -> Counts:
        """What was counted in the window that ends with the last whole step."""

    def level(self, measure: str, scope: str) -> float | None:
        """The level as it stands; None where there is none to judge."""

    def scopes(self, measure: str) -> Iterable[str]:
        """The scopes of which anything is known."""


@dataclass(frozen=True)
class Measured:
    """A moment as a round reads it: sums per window, and levels."""

    sums: dict[tuple[str, str, int], Counts]
    levels: dict[Key, float]

    def counts(self, measure: str, scope: str, window_s: int) -> Counts:
        return self.sums.get((measure, scope, window_s), NOTHING)

    def level(self, measure: str, scope: str) -> float | None:
        return self.levels.get((measure, scope))

    def scopes(self, measure: str) -> set[str]:
        return {key[1] for key in (*self.sums, *self.levels) if key[0] == measure}


class Recorded:
    """A history of `steps` steps of `step_s` seconds each, from `begin` on; `at(step)` is the moment after that step.

    Every window has to be a whole number of steps, a shorter one counts as one step. What lies before `begin` counts
    as nothing.
    """

    def __init__(self, begin: float, step_s: int, steps: int) -> None:
        self.begin, self.step_s, self.steps = begin, step_s, steps
        self.bad: dict[Key, list[int]] = {}
        self.total: dict[Key, list[int]] = {}
        self.levels: dict[Key, list[float | None]] = {}

    def count(self, measure: str, scope: str, bad: Iterable[int], total: Iterable[int]) -> None:
        """Put in a whole series of counts, one pair per step."""
        self.bad[measure, scope], self.total[measure, scope] = _running(bad), _running(total)

    def stand(self, measure: str, scope: str, levels: Iterable[float | None]) -> None:
        """Put in a whole series of levels, one per step; None where there was none to judge."""
        self.levels[measure, scope] = list(levels)

    def at(self, step: int) -> "RecordedMoment":
        return RecordedMoment(self, step)

    def time(self, step: int) -> float:
        """When that step was over."""
        return self.begin + (step + 1) * self.step_s


def _running(values: Iterable[int]) -> list[int]:
    sums, total = [0], 0
    for value in values:
        total += value
        sums.append(total)
    return sums


@dataclass(frozen=True, slots=True)
class RecordedMoment:
    """A moment of a recorded history."""

    history: Recorded
    step: int

    def counts(self, measure: str, scope: str, window_s: int) -> Counts:
        bad = self.history.bad.get((measure, scope))
        if bad is None:
            return NOTHING
        total, last = self.history.total[measure, scope], self.step + 1
        first = max(0, last - max(1, window_s // self.history.step_s))
        return Counts(bad[last] - bad[first], total[last] - total[first])

    def level(self, measure: str, scope: str) -> float | None:
        levels = self.history.levels.get((measure, scope))
        return None if levels is None else levels[self.step]

    def scopes(self, measure: str) -> set[str]:
        keys = (*self.history.bad, *self.history.levels)
        return {scope for name, scope in keys if name == measure}

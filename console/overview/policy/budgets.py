"""Service levels: what share may fail, how much of that is used, and how fast it is being used."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Counted:
    """So many of `total` missed the level."""

    bad: int
    total: int

    @property
    def share(self) -> float | None:
        """The share that missed it; None of nothing."""
        return self.bad / self.total if self.total else None


@dataclass(frozen=True)
class Objective:
    """At most this share may miss the level: 0.05 of a p95, 0.001 of 99.9 %. 0: none may."""

    allowed: Fraction


def budget_left(objective: Objective, over: Counted) -> float | None:
    """The part of the error budget that is left: 1 untouched, 0 used up, below 0 overdrawn. None of nothing.

    The budget is the failures that this many events may have. Where none may fail, it is whole or gone.
    """
    if not over.total:
        return None
    budget = objective.allowed * over.total
    if not budget:
        return 0.0 if over.bad else 1.0
    return float(1 - over.bad / budget)


def burn(objective: Objective, over: Counted) -> float | None:
    """How fast the budget is used: 1 would use it up exactly by the end of its window. None of nothing.

    Share that missed ÷ share allowed, as in the multi-window burn rates of the SRE workbook (chapter 5).
    """
    if not over.total:
        return None
    if not objective.allowed:
        return float("inf") if over.bad else 0.0
    return float(Fraction(over.bad, over.total) / objective.allowed)


def standing(left: float | None, fast: float | None, slow: float | None) -> str:
    """`ok`, `warning` (the budget is overdrawn or being used faster than it lasts), `danger`, or `none` of nothing.

    Danger is what pages: 14.4 times over an hour together with 6 times over six hours, or nothing left while it burns.
    """
    if left is None:
        return "none"
    quick, steady = fast or 0.0, slow or 0.0
    if (quick >= 14.4 and steady >= 6) or (left <= 0 and quick > 1):
        return "danger"
    return "warning" if left <= 0 or (quick > 1 and steady > 1) else "ok"

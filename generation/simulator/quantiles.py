"""Quantiles as PostgreSQL's `percentile_cont` takes them, and Jain's index of fairness."""

from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The continuous quantile of at least one value: linear between the two nearest ranks."""
    ordered = sorted(values)
    return _of_sorted(ordered, share)


def quantiles(values: Sequence[float], shares: Sequence[float]) -> list[float | None]:
    """Several of them at one sorting; None each where there is no value."""
    if not values:
        return [None] * len(shares)
    ordered = sorted(values)
    return [_of_sorted(ordered, share) for share in shares]


def _of_sorted(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def jain(values: Sequence[float]) -> float | None:
    """(Σx)² / (n·Σx²): 1 where all get the same, 1/n where one gets everything; None for fewer than two or no service.

    After Jain, Chiu and Hawe, "A quantitative measure of fairness and discrimination" (DEC-TR-301, 1984).
    """
    squares = sum(value * value for value in values)
    if len(values) < 2 or squares == 0:
        return None
    return sum(values) ** 2 / (len(values) * squares)

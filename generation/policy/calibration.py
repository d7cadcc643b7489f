"""How much accelerator time a compute unit takes on a model, fitted from finished work, and how far quotes were off."""

from collections.abc import Sequence
from dataclasses import dataclass

MICRO = 1_000_000
LEAST_SAMPLES = 5  # fewer tell nothing about a spread


@dataclass(frozen=True)
class Finished:
    """A delivered job: what it weighed in micro-units, and what all its attempts took in milliseconds."""

    units_micro: int
    gpu_ms: int


@dataclass(frozen=True)
class Fit:
    """`error_median` and `error_p90` are of |quoted − measured| ÷ measured, as shares."""

    gpu_ms_per_unit: float
    attempts: int
    error_median: float
    error_p90: float


def fit(finished: Sequence[Finished]) -> Fit | None:
    """Milliseconds per unit with which half of the jobs took more and half less; None for too few jobs.

    The median, because one job that was thrown back to a checkpoint or ran beside another says little about the rest.
    """
    known = [one for one in finished if one.units_micro > 0 and one.gpu_ms > 0]
    if len(known) < LEAST_SAMPLES:
        return None
    per_unit = quantile([one.gpu_ms * MICRO / one.units_micro for one in known], 0.5)
    errors = [abs(per_unit * one.units_micro / MICRO - one.gpu_ms) / one.gpu_ms for one in known]
    return Fit(per_unit, len(known), quantile(errors, 0.5), quantile(errors, 0.9))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, straight between its neighbours. At least one value."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

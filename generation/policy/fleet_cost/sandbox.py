"""The sandbox: from a rate, a latency target, cache hits and a price to devices, burn and cost per request.

Published (e), `spec.md` § 7: devices = 4,000 × (effective rate ÷ 19) × (120 s ÷ p99 target)^½, the root within ½…2.
Everything is computed in exact fractions and rounded once, where it is shown: devices up, money half up.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isqrt

HOURS_A_MONTH = 730
SECONDS_AN_HOUR = 3_600
TIGHT, LOOSE = Fraction(105, 100), Fraction(95, 100)  # of the latency factor: where the bottleneck is named
LEAST_FACTOR, MOST_FACTOR = Fraction(1, 2), Fraction(2)


@dataclass(frozen=True)
class Reference:
    """The fleet that the estimate is scaled from: so many devices carry so many effective requests at a target."""

    gpus: int = 4_000
    effective_per_s: Decimal = Decimal(19)
    p99_target_s: Decimal = Decimal(120)


PUBLISHED = Reference()


@dataclass(frozen=True)
class Question:
    """Requests per second (> 0), the p99 target in seconds (> 0), the share of cache hits (0 ≤ share ≤ 1), and
    micro-dollars per device and hour (≥ 0)."""

    per_s: Decimal = Decimal(20)
    p99_target_s: Decimal = Decimal(120)
    cache_hits: Decimal = Decimal("0.05")
    gpu_hour_micro_dollars: int = 3_500_000

    def __post_init__(self) -> None:
        if not (self.per_s > 0 and self.p99_target_s > 0):
            raise ValueError("a rate and a target are above 0")
        if not 0 <= self.cache_hits <= 1:
            raise ValueError("cache hits are a share of 1")
        if self.gpu_hour_micro_dollars < 0:
            raise ValueError("a price is not negative")


@dataclass(frozen=True)
class Answer:
    """Money in micro-dollars. `request` counts every request, `generated` those alone that no cache served (None
    where it serves all). `latency_factor` is for showing; the devices were computed from its exact square."""

    effective_per_s: Decimal
    latency_factor: float
    gpus: int
    hour_micro_dollars: int
    month_micro_dollars: int
    request_micro_dollars: int
    generated_micro_dollars: int | None
    bottleneck: str  # latency, cost or balanced


def answer(question: Question, reference: Reference = PUBLISHED) -> Answer:
    """What the question takes. Devices are rounded up: a part of one can't be rented."""
    effective = Fraction(question.per_s) * (1 - Fraction(question.cache_hits))
    squared = factor_squared(question.p99_target_s, reference)
    gpus = _root_rounded_up((reference.gpus * effective / Fraction(reference.effective_per_s)) ** 2 * squared)
    hour = gpus * question.gpu_hour_micro_dollars
    return Answer(
        effective_per_s=question.per_s * (1 - question.cache_hits),
        latency_factor=float(squared) ** 0.5,
        gpus=gpus,
        hour_micro_dollars=hour,
        month_micro_dollars=hour * HOURS_A_MONTH,
        request_micro_dollars=half_up(Fraction(hour) / (Fraction(question.per_s) * SECONDS_AN_HOUR)),
        generated_micro_dollars=half_up(hour / (effective * SECONDS_AN_HOUR)) if effective else None,
        bottleneck=bottleneck(squared),
    )


def factor_squared(p99_target_s: Decimal, reference: Reference = PUBLISHED) -> Fraction:
    """The square of the latency factor, exact: reference target ÷ target, within ¼…4."""
    plain = Fraction(reference.p99_target_s) / Fraction(p99_target_s)
    return min(MOST_FACTOR**2, max(LEAST_FACTOR**2, plain))


def bottleneck(squared: Fraction) -> str:
    """A factor above 1.05 means that latency costs the devices, one below 0.95 that cost is what is left to lower."""
    if squared > TIGHT**2:
        return "latency"
    return "cost" if squared < LOOSE**2 else "balanced"


def half_up(value: Fraction) -> int:
    """The nearest whole number, half away from zero for what is not negative."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _root_rounded_up(square: Fraction) -> int:
    """The least whole n with n² ≥ `square`."""
    whole = -(-square.numerator // square.denominator)  # n² is whole, so n² ≥ square is n² ≥ ⌈square⌉
    return isqrt(whole - 1) + 1 if whole > 0 else 0

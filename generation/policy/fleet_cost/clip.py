"""What one clip costs: steps × seconds per step × the price of a device, then overhead; beside published ranges (e)."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from generation.policy.fleet_cost.sandbox import SECONDS_AN_HOUR, half_up


@dataclass(frozen=True)
class ClipQuestion:
    """A clip's steps, device-seconds per step, micro-dollars per device and hour, and overhead as a share of one."""

    steps: int = 50
    step_s: Decimal = Decimal("2.4")
    gpu_hour_micro_dollars: int = 3_500_000
    overhead: Decimal = Decimal("0.30")


@dataclass(frozen=True)
class ClipCost:
    gpu_s: Decimal
    denoising_micro_dollars: int
    whole_micro_dollars: int


@dataclass(frozen=True)
class Published:
    """A published price of a 10 s clip, from … to, in micro-dollars (e)."""

    name: str
    low_micro_dollars: int
    high_micro_dollars: int


OTHERS = (
    Published("A smaller model", 50_000, 100_000),
    Published("Another smaller model", 30_000, 80_000),
    Published("A comparable model", 100_000, 100_000),
)


def gpu_micro_dollars(gpu_s: Fraction | Decimal, gpu_hour_micro_dollars: int) -> int:
    """Device-seconds at a price, half up to the micro-dollar."""
    return half_up(Fraction(gpu_s) * gpu_hour_micro_dollars / SECONDS_AN_HOUR)


def clip_cost(question: ClipQuestion) -> ClipCost:
    """Both sums come from the exact product, so that overhead isn't put on a rounded figure."""
    gpu_s = question.steps * question.step_s
    whole = gpu_s * (1 + question.overhead)
    price = question.gpu_hour_micro_dollars
    return ClipCost(gpu_s, gpu_micro_dollars(gpu_s, price), gpu_micro_dollars(whole, price))

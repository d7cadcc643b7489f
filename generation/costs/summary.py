"""What was measured, in figures that people ask for: cost per clip, waste by cause, a fleet for the bad days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from billing import service_levels
from generation.costs.measured import MICRO_CREDITS_PER_MICRO_DOLLAR, Measured, Part
from generation.policy.fleet_cost.bad_day import Fleet
from generation.policy.fleet_cost.sandbox import half_up

PLUS = "plus"
PROMISED_S = 10.0  # the clip that the service levels promise a time for
WASTED = {
    "retried": "Redone after a failed attempt",
    "lost": "Redone after a lost worker",
    "preempted": "Redone after giving way or draining",
    "not_finite": "Not finite (NaN)",
    "failed": "Failed for good",
    "blocked": "Blocked by a gate",
}


@dataclass(frozen=True)
class Waste:
    """Device time that became no clip of a customer; `cause` is a key of `WASTED`, or `cancelled`, which its owner paid
    for, or `own`: the clips that Backlot makes itself."""

    cause: str
    label: str
    attempts: int
    gpu_ms: int
    micro_dollars: int


@dataclass(frozen=True)
class Summary:
    """Money in micro-dollars, device time in milliseconds. Per clip: all device time, wasted or not, ÷ clips delivered.
    None where no clip was delivered."""

    delivered: int
    gpu_ms: int
    micro_dollars: int
    clip_gpu_s: float | None
    clip_micro_dollars: int | None
    waste: tuple[Waste, ...]
    cancelled: Waste
    own: Waste
    saved_gpu_ms: int
    saved_micro_dollars: int
    devices_busy: float

    @property
    def wasted_gpu_ms(self) -> int:
        return sum(one.gpu_ms for one in self.waste)

    @property
    def wasted_micro_dollars(self) -> int:
        return sum(one.micro_dollars for one in self.waste)

    @property
    def wasted_share(self) -> float | None:
        return self.wasted_gpu_ms / self.gpu_ms if self.gpu_ms else None


def summary(found: Measured) -> Summary:
    """The figures of a span of time; no query."""
    delivered, spent = found.delivered, found.micro_dollars
    saved = sum((part.micro_dollars(part.saved_ms) for part in found.parts), Fraction(0))
    return Summary(
        delivered=delivered,
        gpu_ms=found.gpu_ms,
        micro_dollars=half_up(spent),
        clip_gpu_s=found.gpu_ms / 1000 / delivered if delivered else None,
        clip_micro_dollars=half_up(spent / delivered) if delivered else None,
        waste=tuple(_waste(found.of(cause), cause, label) for cause, label in WASTED.items()),
        cancelled=_waste(found.of("cancelled"), "cancelled", "Cancelled by its owner"),
        own=_own(found.own),
        saved_gpu_ms=sum(part.saved_ms for part in found.parts),
        saved_micro_dollars=half_up(saved),
        devices_busy=float(_busy_ms(found) / (found.hours * 3_600_000)) if found.hours else 0.0,
    )


def _busy_ms(found: Measured) -> int:
    """Of the devices, whoever they worked for."""
    return found.gpu_ms + sum(part.gpu_ms for part in found.own)


def _own(parts: Sequence[Part]) -> Waste:
    spent = sum((part.micro_dollars(part.gpu_ms) for part in parts), Fraction(0))
    gpu_ms = sum(part.gpu_ms for part in parts)
    return Waste("own", "Backlot's own checks", sum(part.attempts for part in parts), gpu_ms, half_up(spent))


def _waste(parts: Sequence[Part], cause: str, label: str) -> Waste:
    money = sum((part.micro_dollars(part.wasted_ms) for part in parts), Fraction(0))
    wasted_ms = sum(part.wasted_ms for part in parts)
    return Waste(cause, label, sum(part.attempts for part in parts), wasted_ms, half_up(money))


def fleet(found: Measured, on_call_hour_micro_dollars: int, now: datetime) -> Fleet | None:
    """This deployment as the bad days want it; None where it delivered no clip. One query.

    A step is a clip's kept device time ÷ its steps, so that steps × step is the clip, decoding included.
    """
    delivered, steps = found.delivered, sum(part.steps for part in found.parts)
    if not (delivered and steps and found.hours):
        return None
    ended = delivered + sum(
        part.jobs for cause in ("not_finite", "failed", "blocked") for part in found.of(cause)
    )
    kept_ms = sum(part.gpu_ms - part.wasted_ms for part in found.parts)
    target = service_levels.target_for(PLUS, "", PROMISED_S, now)
    return Fleet(
        clips_per_h=ended / found.hours,
        plus_per_h=sum(part.delivered for part in found.parts if part.tier == PLUS) / found.hours,
        steps=round(steps / delivered),
        step_s=Fraction(kept_ms, 1000 * steps),
        flight_s=Fraction(sum(part.flight_s for part in found.parts)) / ended,
        gpu_hour_micro_dollars=_price(found),
        credit_micro_dollars=target.credit_micro // MICRO_CREDITS_PER_MICRO_DOLLAR if target else 0,
        on_call_hour_micro_dollars=on_call_hour_micro_dollars,
        not_finite_gpu_s=_not_finite(found),
    )


def failing_share(found: Measured) -> Fraction | None:
    """Attempts that were lost or failed, as a share of all; None without any."""
    attempts = sum(part.attempts for part in found.parts)
    return Fraction(sum(part.broken for part in found.parts), attempts) if attempts else None


def _price(found: Measured) -> int:
    """What a device hour cost on average, weighted by the time that was used."""
    if not found.gpu_ms:
        return 0
    return half_up(found.micro_dollars * 3_600_000 / found.gpu_ms)


def _not_finite(found: Measured) -> Fraction | None:
    parts = found.of("not_finite")
    jobs = sum(part.jobs for part in parts)
    return Fraction(sum(part.gpu_ms for part in parts), 1000 * jobs) if jobs else None

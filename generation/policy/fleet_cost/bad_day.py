"""Bad days in one consistent arithmetic: from a rate of clips, what one costs, and what goes wrong.

A rate is clips per hour, always; what is in flight follows from it (Little's law: rate × time in flight). A failure
comes at a random step, so half of what it can lose is lost: n/2 steps without checkpoints, k/2 with one every k.
Exact fractions; money is rounded once, half up, to the micro-dollar. What is expected of a count isn't rounded: half a
clip in an hour is one in two hours.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from generation.policy.fleet_cost.clip import gpu_micro_dollars
from generation.policy.fleet_cost.sandbox import half_up

CHECKPOINT_EVERY = 10  # steps, as the worker writes them


@dataclass(frozen=True)
class Fleet:
    """What runs: clips per hour, of which Plus; a clip's steps, device-seconds per step, and seconds in flight;
    micro-dollars per device hour, per late clip, and per hour of a person on call.

    `not_finite_gpu_s` is what a clip that was not finite took; None counts it whole, which is the most it can be.
    """

    clips_per_h: Fraction
    plus_per_h: Fraction
    steps: int
    step_s: Fraction
    flight_s: Fraction
    gpu_hour_micro_dollars: int
    credit_micro_dollars: int
    on_call_hour_micro_dollars: int
    not_finite_gpu_s: Fraction | None = None

    @property
    def clip_gpu_s(self) -> Fraction:
        return self.steps * self.step_s

    @property
    def in_flight(self) -> Fraction:
        return self.clips_per_h * self.flight_s / 3_600


@dataclass(frozen=True)
class Events:
    """What goes wrong: shares of one, minutes, hours of people. The defaults are the published ones (e)."""

    background: Decimal = Decimal("0.001")
    storm: Decimal = Decimal("0.10")
    late_min: Decimal = Decimal(30)
    soon_min: Decimal = Decimal(2)
    bypass: Decimal = Decimal("0.02")
    bypass_min: Decimal = Decimal(15)
    breached: Decimal = Decimal("0.5")
    starvation_min: Decimal = Decimal(45)
    on_call_h: Decimal = Decimal(3)
    failing: Decimal = Decimal("0.005")
    failing_at: Decimal = Decimal("0.96")  # of a clip's steps: 48 of 50


@dataclass(frozen=True)
class BadDay:
    """Money in micro-dollars; clips and breaches are expected numbers. The storm's factor is
    None where it is noticed at once."""

    background_hour: int
    storm_late: int
    storm_soon: int
    storm_factor: Fraction | None
    bypass_clips: Fraction
    breaches: Fraction
    credits: int
    people: int
    failure_step: int
    failure_gpu_s: Fraction
    failure: int
    failure_with_checkpoints: int
    waste_hour: int
    waste_hour_with_checkpoints: int
    waste_factor: Fraction  # of the steps, not of the rounded sums

    @property
    def starvation(self) -> int:
        return self.credits + self.people


def bad_day(fleet: Fleet, events: Events = Events()) -> BadDay:
    """Every event of a bad day on a fleet."""
    breaches = fleet.plus_per_h * _hours(events.starvation_min) * Fraction(events.breached)
    step = int(fleet.steps * events.failing_at)
    failing_per_h = fleet.clips_per_h * Fraction(events.failing)
    between = min(CHECKPOINT_EVERY, fleet.steps)
    return BadDay(
        background_hour=not_finite(fleet, events.background, Fraction(1)),
        storm_late=not_finite(fleet, events.storm, _hours(events.late_min)),
        storm_soon=not_finite(fleet, events.storm, _hours(events.soon_min)),
        storm_factor=Fraction(events.late_min) / Fraction(events.soon_min) if events.soon_min else None,
        bypass_clips=fleet.clips_per_h * _hours(events.bypass_min) * Fraction(events.bypass),
        breaches=breaches,
        credits=half_up(breaches * fleet.credit_micro_dollars),
        people=half_up(Fraction(events.on_call_h) * fleet.on_call_hour_micro_dollars),
        failure_step=step,
        failure_gpu_s=step * fleet.step_s,
        failure=steps_micro_dollars(fleet, Fraction(step)),
        failure_with_checkpoints=steps_micro_dollars(fleet, Fraction(step % CHECKPOINT_EVERY)),
        waste_hour=steps_micro_dollars(fleet, failing_per_h * fleet.steps / 2),
        waste_hour_with_checkpoints=steps_micro_dollars(fleet, failing_per_h * between / 2),
        waste_factor=Fraction(fleet.steps, between),
    )


def not_finite(fleet: Fleet, share: Decimal, hours: Fraction) -> int:
    """Micro-dollars of clips that are not finite, a share of those that start within so many hours."""
    each = fleet.clip_gpu_s if fleet.not_finite_gpu_s is None else fleet.not_finite_gpu_s
    clips = fleet.clips_per_h * hours * Fraction(share)
    return gpu_micro_dollars(clips * each, fleet.gpu_hour_micro_dollars)


def steps_micro_dollars(fleet: Fleet, steps: Fraction) -> int:
    """What so many steps cost."""
    return gpu_micro_dollars(steps * fleet.step_s, fleet.gpu_hour_micro_dollars)


def published_fleet(clips_per_h: int) -> Fleet:
    """The published clip and prices (e) at a rate: 20 per second is 72,000 an hour, 20 in flight are 600."""
    return Fleet(
        clips_per_h=Fraction(clips_per_h),
        plus_per_h=Fraction(300),
        steps=50,
        step_s=Fraction("2.4"),
        flight_s=Fraction(120),
        gpu_hour_micro_dollars=3_500_000,
        credit_micro_dollars=200_000,
        on_call_hour_micro_dollars=300_000_000,
    )


PER_SECOND = published_fleet(72_000)
IN_FLIGHT = published_fleet(600)


def _hours(minutes: Decimal) -> Fraction:
    return Fraction(minutes) / 60

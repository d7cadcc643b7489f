"""What an incident costs: device time that was wasted, SLA credits, and the hours of whoever is on it."""

from collections.abc import Iterable
from dataclasses import dataclass

SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Cost:
    """Micro-dollars."""

    gpu_waste: int
    sla_credits: int
    on_call: int

    @property
    def total(self) -> int:
        return self.gpu_waste + self.sla_credits + self.on_call


def on_call_s(opened_at: float, came_at: Iterable[float], now: float) -> float:
    """Seconds of on-call time until `now`: who is paged counts from the opening, each further person from coming.

    `came_at` is the first line of each person in the timeline, whoever; the earliest of them is who was paged.
    """
    further = sorted(came_at)[1:]
    return sum(max(0.0, now - since) for since in (opened_at, *further))


def on_call_micro_dollars(seconds: float, hour_micro_dollars: int) -> int:
    """What those seconds cost, rounded half up once."""
    milliseconds = round(seconds * 1000)
    whole = SECONDS_AN_HOUR * 1000
    return (2 * milliseconds * hour_micro_dollars + whole) // (2 * whole)

"""The bad days as a table: published, the same in both readings of "20", and this deployment."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from console.templatetags.dollars import dollars
from console.templatetags.figures import MISSING, significant
from generation.policy.fleet_cost.bad_day import IN_FLIGHT, PER_SECOND, BadDay, Events, Fleet, bad_day
from generation.policy.fleet_cost.published import PRESETS, Preset


@dataclass(frozen=True)
class Line:
    """One figure of an event: with 20 clips per second, with 20 in flight, and here."""

    label: str
    per_second: str
    in_flight: str
    ours: str


@dataclass(frozen=True)
class Event:
    preset: Preset
    lines: list[Line]


Figure = tuple[str, Callable[[BadDay], str]]


def _hourly(micro: int) -> str:
    return f"{dollars(micro)}/h"


def _times(factor: Fraction | None) -> str:
    return MISSING if factor is None else f"{significant(float(factor))} ×"


def _clips(count: Fraction) -> str:
    text = significant(float(count), 4)
    return f"{text} clip" if text == "1" else f"{text} clips"


def _figures(events: Events) -> dict[str, tuple[Figure, ...]]:
    return {
        "nan_background": (("Wasted", lambda day: _hourly(day.background_hour)),),
        "nan_storm": (
            (f"Noticed after {events.late_min:f} min", lambda day: dollars(day.storm_late)),
            (f"Noticed after {events.soon_min:f} min", lambda day: dollars(day.storm_soon)),
            ("Factor", lambda day: _times(day.storm_factor)),
        ),
        "bypass": ((f"Delivered in {events.bypass_min:f} min", lambda day: _clips(day.bypass_clips)),),
        "starvation": (
            (f"Late in {events.starvation_min:f} min", lambda day: _clips(day.breaches)),
            ("SLA credits", lambda day: dollars(day.credits)),
            (f"On call, {events.on_call_h:f} h", lambda day: dollars(day.people)),
            ("Together", lambda day: dollars(day.starvation)),
        ),
        "late_failure": (
            (
                "Fails after",
                lambda day: f"{day.failure_step} steps, {significant(float(day.failure_gpu_s), 4)} GPU-s",
            ),
            ("To redo without checkpoints", lambda day: dollars(day.failure)),
            ("To redo with checkpoints", lambda day: dollars(day.failure_with_checkpoints)),
        ),
        "waste": (
            ("Without checkpoints", lambda day: _hourly(day.waste_hour)),
            ("With one every 10 steps", lambda day: _hourly(day.waste_hour_with_checkpoints)),
            ("Factor", lambda day: _times(day.waste_factor)),
        ),
    }


def bad_days(events: Events, fleet: Fleet | None) -> list[Event]:
    """Every preset with its figures; ours are missing where nothing was delivered."""
    figures = _figures(events)
    columns = [
        bad_day(PER_SECOND, events),
        bad_day(IN_FLIGHT, events),
        bad_day(fleet, events) if fleet else None,
    ]
    return [
        Event(
            preset,
            [
                Line(label, *(figure(day) if day else MISSING for day in columns))
                for label, figure in figures[preset.key]
            ],
        )
        for preset in PRESETS
    ]

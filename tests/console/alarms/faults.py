"""A fault for every alarm that there is, written into replayed days, and how soon it is to be told and over.

An alarm without one here fails its test: add the fault that it is for, beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy

from tests.console.alarms.days import Days

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Fault:
    """What goes wrong for `last_s` seconds. It fires within the time of its alarm, or `within_s` where that has none,
    and is over `over_s` after the fault at the latest: windows have to pass first."""

    write: Callable[[Days, slice], None]
    last_s: int = 20 * MINUTE
    within_s: int | None = None
    over_s: int = 75 * MINUTE


def _storm(days: Days, span: slice) -> None:
    days.broken[span] = days.of(days.ended[span], 0.10)


def _starvation(days: Days, span: slice) -> None:
    """Nobody of Plus starts: waits grow, and 75 s later p95 over five minutes of starts is over a minute."""
    days.wait[span] = numpy.maximum(days.wait[span], _since(days, span) - 15)


def _standstill(days: Days, span: slice) -> None:
    days.delivered[span], days.waiting[span] = 0, 20


def _refused(days: Days, span: slice) -> None:
    days.rejected[span] = days.of(days.delivered[span], 0.4)


def _retried(days: Days, span: slice) -> None:
    days.retried[span] = days.of(days.started[span], 0.6)


def _late(days: Days, span: slice) -> None:
    days.late[span] = days.delivered[span]


def _failing(days: Days, span: slice) -> None:
    days.failed[span] = days.of(days.ended[span], 0.3)
    days.delivered[span] = days.ended[span] - days.failed[span]


def _once(measure: str) -> Fault:
    def write(days: Days, span: slice) -> None:
        days.events[measure][span.start] = 1

    return Fault(write)


def _stands(measure: str, level: float | None = None, **named) -> Fault:
    """A level that jumps there, or, without one, grows by a second a second."""

    def write(days: Days, span: slice) -> None:
        days.levels[measure, ""][span] = _since(days, span) if level is None else level

    return Fault(write, **named)


def _since(days: Days, span: slice) -> numpy.ndarray:
    return numpy.arange(span.stop - span.start) * days.step_s


FAULTS = {
    "not_finite": Fault(_storm),
    "plus_starvation": Fault(_starvation),
    "plus_completions": Fault(_standstill),
    "rejections": Fault(_refused),
    # Error budgets: more than three days' of them is gone, which is told until six hours have passed without.
    "retries": Fault(_retried, within_s=12 * MINUTE, over_s=7 * HOUR),
    # All of an hour's clips late burn 5 % for 30 days twenty times too fast; 14.4 times is 43 minutes of them.
    "time_in_system": Fault(_late, 90 * MINUTE, within_s=50 * MINUTE, over_s=7 * HOUR),
    "availability": Fault(_failing, within_s=5 * MINUTE, over_s=7 * HOUR),
    "ledger_drift": _once("ledger_drift"),
    "unsafe_delivery": _once("unsafe_delivery"),
    "bypass": _once("bypass"),
    "outbox_parked": _once("outbox_parked"),
    "signing_down": _stands("signing_down"),
    "scorer_down": _stands("scorer_down", 1.0),
    "no_worker": _stands("no_worker", 1.0),
    "synthetic": _stands("synthetic_age"),
    "outbox_dead": _stands("outbox_late"),
    "webhooks_late": _stands("webhooks_late", 3.0, within_s=90),
}

"""An alarm through time: it opens when its condition held for a while, escalates, and clears when all was well a while.

Between firing and well it stays as it is, so that a value that hovers at the threshold pages once.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from console.alarms.policy.conditions import CLEAR, Seen, Terms


class Change(StrEnum):
    """What happens to an alarm."""

    OPENED = "opened"
    ESCALATED = "escalated"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an alarm stands in one scope. `level` is 0 while it is clear, else the highest reached since `opened_at`."""

    level: int = CLEAR
    opened_at: float | None = None
    over_since: float | None = None  # the condition held at every look since then
    well_since: float | None = None
    peak: float | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of an alarm, with what was seen then."""

    change: Change
    at: float
    level: int
    value: float | None


QUIET = Standing()


def advance(
    standing: Standing, seen: Seen, terms: Terms, now: float, *, rising: bool = True
) -> tuple[Standing, Transition | None]:
    """The alarm after one look, and what changed; of opening and escalating at once only the opening is told."""
    if not terms.enabled:
        if standing.level == CLEAR:
            return QUIET, None
        return QUIET, Transition(Change.CLEARED, now, CLEAR, seen.value)
    if standing.level == CLEAR:
        return _while_clear(standing, seen, terms, now)
    return _while_open(standing, seen, terms, now, rising)


def _while_clear(
    standing: Standing, seen: Seen, terms: Terms, now: float
) -> tuple[Standing, Transition | None]:
    if seen.level == CLEAR:
        return QUIET, None
    over_since = now if standing.over_since is None else standing.over_since
    if now - over_since < terms.for_s:
        return Standing(over_since=over_since), None
    opened = Standing(seen.level, now, over_since, None, seen.value)
    return opened, Transition(Change.OPENED, now, seen.level, seen.value)


def _while_open(
    standing: Standing, seen: Seen, terms: Terms, now: float, rising: bool
) -> tuple[Standing, Transition | None]:
    peak = _worse(standing.peak, seen.value, rising)
    well_since = (now if standing.well_since is None else standing.well_since) if seen.well else None
    if well_since is not None and now - well_since >= terms.clear_s:
        return QUIET, Transition(Change.CLEARED, now, CLEAR, seen.value)
    level = max(standing.level, seen.level)
    after = replace(standing, level=level, well_since=well_since, peak=peak)
    if level > standing.level:
        return after, Transition(Change.ESCALATED, now, level, seen.value)
    return after, None


def _worse(one: float | None, other: float | None, rising: bool) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other) if rising else min(one, other)

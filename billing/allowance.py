"""A tier's included allowance: so much per UTC day, so much per calendar month. Pure: standard library only.

The allowance is posted as a grant at the first use of a day; what is left of it expires at the first use of a
later day. The month counts what was spent, so an unused day costs nothing of it. Amounts are micro-credits.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True)
class Caps:
    """What a tier includes. No allowance is a cap of 0."""

    day: int
    month: int


@dataclass(frozen=True)
class State:
    """Where an allowance stands: `granted` for `day`, `spent_before` (spent or held) in its month before `day`."""

    day: date | None
    granted: int
    spent_before: int
    balance: int


@dataclass(frozen=True)
class Roll:
    """What a use has to post first: expire so much, then grant so much; and the state that results."""

    expire: int
    grant: int
    state: State


def roll(state: State, today: date, caps: Caps) -> Roll:
    """Bring the allowance up to `today`. Calling it again changes nothing.

    On the same day it only ever adds: after a change to a larger tier, or when the month got something back. A
    `today` before the state's day (a clock that lags at midnight) counts as the state's day.
    """
    expire = 0
    if state.day is None or today > state.day:
        expire = state.balance
        state = State(today, 0, _spent_before(state, today), 0)
    target = min(caps.day, max(0, caps.month - state.spent_before))
    grant = max(0, target - state.granted)
    return Roll(expire, grant, replace(state, granted=state.granted + grant, balance=state.balance + grant))


def _spent_before(state: State, today: date) -> int:
    if state.day is None or (state.day.year, state.day.month) != (today.year, today.month):
        return 0
    return state.spent_before + state.granted - state.balance


def given_back_late(state: State, day: date, amount: int) -> State:
    """An earlier `day`'s allowance came back unspent: it is over as that day's, but its month gets it back."""
    if state.day is None or (state.day.year, state.day.month) != (day.year, day.month):
        return state
    return replace(state, spent_before=state.spent_before - amount)


def next_day(state: State, caps: Caps) -> tuple[datetime, int]:
    """When the next allowance comes, and how much if nothing more is spent or given back until then."""
    tomorrow = state.day + timedelta(days=1)
    return datetime.combine(tomorrow, time(), UTC), roll(state, tomorrow, caps).grant

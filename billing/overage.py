"""Post-paid use above all credits, up to a contract's limit per UTC month. Pure: standard library only.

A month's limit is posted as a grant into an account of its own that ends with the month; what was taken from it is
what the month's invoice comes to. Amounts are micro-credits.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class State:
    """`granted` of `month` (its first day); `balance` is what is left of it."""

    month: date | None
    granted: int
    balance: int


@dataclass(frozen=True)
class Roll:
    """What a use has to post first: take back so much, open so much; and the state that results."""

    withdraw: int
    grant: int
    state: State


def roll(state: State, today: date, limit: int) -> Roll:
    """Bring the overage up to `today`; calling it again changes nothing. An earlier month's rest has expired by itself.

    A higher limit counts at once. A lower one takes back what is not used yet: what is used stays owed.
    """
    month = max(today.replace(day=1), state.month or date.min)
    if state.month != month:
        state = State(month, 0, 0)
    grant = max(0, limit - state.granted)
    withdraw = min(state.balance, max(0, state.granted - limit))
    change = grant - withdraw
    return Roll(
        withdraw, grant, replace(state, granted=state.granted + change, balance=state.balance + change)
    )


def ends_at(month: date) -> datetime:
    """The first moment after a month, UTC."""
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return datetime.combine(following, time(), UTC)


def begins_at(month: date) -> datetime:
    """The first moment of a month, UTC."""
    return datetime.combine(month, time(), UTC)

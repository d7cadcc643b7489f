from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.allowance import Caps, Roll, State, given_back_late, next_day, roll

CAPS = Caps(day=50, month=300)
MONDAY = date(2026, 11, 2)
NOTHING = State(None, 0, 0, 0)


def spend(state: State, amount: int) -> State:
    assert amount <= state.balance
    return State(state.day, state.granted, state.spent_before, state.balance - amount)


def test_first_use_grants_the_day():
    due = roll(NOTHING, MONDAY, CAPS)
    assert (due.expire, due.grant) == (0, 50)
    assert due.state == State(MONDAY, 50, 0, 50)


def test_same_day_changes_nothing():
    state = spend(roll(NOTHING, MONDAY, CAPS).state, 20)
    assert roll(state, MONDAY, CAPS) == Roll(0, 0, state)


def test_next_day_expires_the_rest_and_counts_only_what_was_spent():
    state = spend(roll(NOTHING, MONDAY, CAPS).state, 20)
    due = roll(state, MONDAY + timedelta(days=1), CAPS)
    assert (due.expire, due.grant) == (30, 50)
    assert due.state == State(MONDAY + timedelta(days=1), 50, 20, 50)


def test_month_runs_out_and_begins_again():
    state, granted = NOTHING, []
    for number in range(8):  # every day is used up
        due = roll(state, MONDAY + timedelta(days=number), CAPS)
        granted.append(due.grant)
        state = spend(due.state, due.state.balance)
    assert granted == [50] * 6 + [0, 0]
    assert roll(state, date(2026, 12, 1), CAPS).grant == 50


def test_part_of_a_day_is_left_of_the_month():
    state = State(MONDAY, 50, 230, 0)
    assert roll(state, MONDAY + timedelta(days=1), CAPS).grant == 20


def test_a_larger_tier_tops_up_the_same_day_and_a_smaller_one_takes_nothing_back():
    state = spend(roll(NOTHING, MONDAY, CAPS).state, 20)
    assert roll(state, MONDAY, Caps(400, 4_000)).grant == 350
    assert roll(state, MONDAY, Caps(10, 10)).grant == 0


def test_a_lagging_clock_rolls_nothing_back():
    state = roll(NOTHING, MONDAY, CAPS).state
    due = roll(state, MONDAY - timedelta(days=1), CAPS)
    assert (due.expire, due.grant, due.state) == (0, 0, state)


def test_no_allowance():
    assert roll(NOTHING, MONDAY, Caps(0, 0)).grant == 0


def test_given_back_late_returns_to_the_month_but_not_to_the_day():
    tuesday = roll(spend(roll(NOTHING, MONDAY, CAPS).state, 40), MONDAY + timedelta(days=1), CAPS).state
    assert tuesday.spent_before == 40
    after = given_back_late(tuesday, MONDAY, 40)
    assert (after.spent_before, after.balance, after.granted) == (0, 50, 50)


def test_given_back_late_of_another_month_changes_nothing():
    december = roll(spend(roll(NOTHING, date(2026, 11, 30), CAPS).state, 40), date(2026, 12, 1), CAPS).state
    assert given_back_late(december, date(2026, 11, 30), 40) == december


def test_next_day_says_when_and_how_much():
    state = spend(State(MONDAY, 50, 240, 50), 45)
    assert next_day(state, CAPS) == (datetime(2026, 11, 3, tzinfo=UTC), 15)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), max_size=60))
def test_neither_day_nor_month_is_ever_exceeded(uses):
    """Whatever the gaps between uses and whatever each spends."""
    state, day = NOTHING, date(2026, 10, 1)
    spent: dict[date, int] = {}
    for gap, wanted in uses:
        day += timedelta(days=gap)
        state = roll(state, day, CAPS).state
        amount = min(wanted, state.balance)
        state = spend(state, amount)
        spent[day] = spent.get(day, 0) + amount
    assert all(amount <= CAPS.day for amount in spent.values())
    for month in {(d.year, d.month) for d in spent}:
        assert sum(amount for d, amount in spent.items() if (d.year, d.month) == month) <= CAPS.month

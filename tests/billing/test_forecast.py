"""The forecast: so far, and for the rest of the month as much a day as the last full days."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.forecast import month_end

ENDS = datetime(2026, 12, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)  # 9.5 days before the end


def test_the_mean_of_the_last_days_goes_on():
    found = month_end(100, [10, 20, 30], NOON, ENDS)
    assert (found.total_micro, found.per_day_micro, found.days) == (100 + 190, 20, 3)
    assert "mean of the last 3 full days" in found.method


def test_days_before_the_first_use_are_no_days_without_use():
    assert month_end(30, [0, 0, 0, 0, 0, 10, 20], NOON, ENDS).per_day_micro == 15
    assert month_end(30, [0, 10, 0, 20], NOON, ENDS).per_day_micro == 10


def test_without_a_full_day_nothing_is_told():
    found = month_end(5, [0] * 7, NOON, ENDS)
    assert (found.total_micro, found.days) == (None, 0)


def test_at_the_end_it_is_what_was_spent():
    assert month_end(100, [10], ENDS, ENDS).total_micro == 100
    assert month_end(100, [10], ENDS + timedelta(hours=1), ENDS).total_micro == 100


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**10), max_size=9))
def test_never_less_than_what_was_spent(spent, days):
    found = month_end(spent, days, NOON, ENDS)
    assert found.total_micro is None or found.total_micro >= spent

"""Histograms that merge: quantiles of merged ones are those of all their values, within the stated error."""

from fractions import Fraction
from math import ceil

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from console.overview.policy import budgets, grains, spread
from console.overview.policy.budgets import Counted, Objective

values = st.integers(0, spread.LONGEST - 1)
parts = st.lists(st.lists(values, max_size=12), min_size=1, max_size=5)
shares = st.sampled_from((0.01, 0.5, 0.9, 0.95, 0.99, 1.0))


def nearest_rank(found: list[int], share: float) -> int:
    ordered = sorted(found)
    return ordered[max(1, ceil(share * len(ordered))) - 1]


@given(parts, shares)
def test_quantiles_of_merged_histograms_are_the_direct_ones_within_the_error(lists, share):
    together = [value for one in lists for value in one]
    merged = spread.merged(spread.spread_of(one) for one in lists)
    assert merged == spread.spread_of(together)
    assert spread.size(merged) == len(together)
    found = spread.quantile(merged, share)
    if not together:
        assert found is None
        return
    direct = nearest_rank(together, share)
    assert abs(found - direct) <= spread.ERROR * direct + 1e-9


@given(parts)
def test_the_order_of_merging_does_not_matter(lists):
    spreads = [spread.spread_of(one) for one in lists]
    in_turn = spreads[0]
    for one in spreads[1:]:
        in_turn = spread.merged([one, in_turn])
    assert in_turn == spread.merged(reversed(spreads))


def test_small_values_are_known_exactly_and_very_long_ones_are_kept():
    assert [spread.quantile({spread.bucket_of(value): 1}, 0.5) for value in range(10)] == list(range(10))
    last = len(spread.BOUNDS)
    assert [spread.bucket_of(value) for value in (spread.BOUNDS[-1], 10 * spread.LONGEST)] == [last, last]
    assert pytest.approx(0.0488, abs=1e-4) == spread.ERROR


@pytest.mark.django_db
def test_the_database_puts_values_into_the_same_buckets():
    asked = sorted({*range(300), *spread.BOUNDS, *(bound - 1 for bound in spread.BOUNDS), 5 * spread.LONGEST})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v, width_bucket(v, %s::bigint[]) FROM unnest(%s::bigint[]) v",
            [list(spread.BOUNDS), asked],
        )
        assert dict(cursor.fetchall()) == {value: spread.bucket_of(value) for value in asked}


def test_budgets_and_burns():
    p95 = Objective(Fraction(1, 20))
    assert budgets.budget_left(p95, Counted(1, 100)) == pytest.approx(0.8)
    assert budgets.budget_left(p95, Counted(5, 100)) == 0
    assert budgets.budget_left(p95, Counted(10, 100)) == -1
    assert budgets.burn(p95, Counted(5, 100)) == 1
    assert budgets.burn(Objective(Fraction(1, 1000)), Counted(1, 10)) == 100
    assert budgets.burn(p95, Counted(0, 0)) is None
    assert budgets.budget_left(p95, Counted(0, 0)) is None
    none = Objective(Fraction(0))
    assert (budgets.budget_left(none, Counted(0, 9)), budgets.budget_left(none, Counted(1, 9))) == (1, 0)
    assert (budgets.burn(none, Counted(0, 9)), budgets.burn(none, Counted(1, 9))) == (0, float("inf"))


@pytest.mark.parametrize(
    ("left", "fast", "slow", "standing"),
    [
        (None, None, None, "none"),
        (0.9, 0.5, 0.5, "ok"),
        (0.9, None, None, "ok"),
        (0.9, 20, 0.5, "ok"),  # an hour alone pages nobody
        (0.9, 14.4, 6, "danger"),
        (0.5, 1.5, 1.2, "warning"),
        (-0.1, 0.5, 0.5, "warning"),
        (-0.1, 1.5, 0.5, "danger"),
    ],
)
def test_how_a_level_stands(left, fast, slow, standing):
    assert budgets.standing(left, fast, slow) == standing


def test_a_span_is_drawn_in_the_finest_grain_that_fits_and_is_still_kept():
    now = grains.datetime(2026, 11, 22, 9, 30, 20, tzinfo=grains.UTC)

    def grain(hours: float, ago_days: float = 0) -> int:
        until = now - grains.timedelta(days=ago_days)
        return grains.steps(until - grains.timedelta(hours=hours), until, now).grain

    assert [grain(1), grain(3), grain(6), grain(24), grain(24 * 7), grain(24 * 30)] == [
        *(60, 60, 600, 600, 3600, 86400),
    ]
    assert grain(1, ago_days=20) == 600  # minutes of then are gone, and so is their week before
    steps = grains.steps(now - grains.timedelta(hours=1), now, now)
    assert (steps.since.second, steps.until - steps.since) == (
        0,
        grains.timedelta(minutes=62) - grains.timedelta(minutes=1),
    )
    assert steps.starts[0] == steps.since
    assert steps.starts[-1] + steps.width == steps.until
    assert steps.week_before.since == steps.since - grains.WEEK

"""Baseline and overrides: which value is in force."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.overrides import effective, in_force

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Plain:
    field: str
    value: object
    created_at: datetime = START
    expires_at: datetime | None = None
    removed_at: datetime | None = None


def at(minutes):
    return START + timedelta(minutes=minutes)


BASELINE = {"weight": 2, "floor": 0}


def test_without_overrides_the_baseline_counts():
    assert effective(BASELINE, [], START) == BASELINE


def test_the_newest_wins_and_the_others_stay_under_it():
    older, newer = Plain("weight", 4, at(0), expires_at=at(60)), Plain("weight", 8, at(5), expires_at=at(10))
    for order in [(older, newer), (newer, older)]:
        assert effective(BASELINE, order, at(7)) == {"weight": 8, "floor": 0}
        assert effective(BASELINE, order, at(10)) == {"weight": 4, "floor": 0}
        assert effective(BASELINE, order, at(60)) == BASELINE


def test_removal_gives_back_what_lay_under_it():
    writers = [Plain("weight", 4, at(0)), Plain("weight", 8, at(1), removed_at=at(3))]
    assert effective(BASELINE, writers, at(2))["weight"] == 8
    assert effective(BASELINE, writers, at(3))["weight"] == 4


def test_of_two_at_one_moment_the_later_in_order_wins():
    assert effective(BASELINE, [Plain("weight", 4), Plain("weight", 8)], START)["weight"] == 8


def test_what_is_not_made_yet_does_not_count():
    assert effective(BASELINE, [Plain("weight", 4, at(1))], START) == BASELINE


def test_a_misspelt_field_is_loud():
    with pytest.raises(KeyError, match="wieght"):
        effective(BASELINE, [Plain("wieght", 4)], START)


minutes = st.integers(0, 20)
plain = st.builds(
    lambda field, value, made, lasts, removed: Plain(
        field,
        value,
        at(made),
        None if lasts is None else at(made + lasts),
        None if removed is None else at(removed),
    ),
    st.sampled_from(sorted(BASELINE)),
    st.integers(),
    minutes,
    st.none() | st.integers(1, 10),
    st.none() | minutes,
)


@given(st.lists(plain, max_size=8), minutes)
def test_each_value_is_the_baseline_or_the_newest_in_force(overrides, minute):
    now = at(minute)
    values = effective(BASELINE, overrides, now)
    for name, base in BASELINE.items():
        standing = [override for override in overrides if override.field == name and in_force(override, now)]
        newest = max((override.created_at for override in standing), default=None)
        allowed = {override.value for override in standing if override.created_at == newest} or {base}
        assert values[name] in allowed

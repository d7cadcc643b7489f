"""The auto-raise rule: steps, limit, hold, and that it never works against a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from generation.policy.auto_raise import Raise, Raised, Rule, Seen, decide

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULE = Rule(enabled=True, threshold_s=30, step=1, limit=6, pause_s=30, hold_s=300, quiet_s=1800)
WAITING = Seen(p95_s=45.0, baseline=2.0, raised=None, others_weight=None, taken_back_at=None)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def raised(weight: float, made_s: float, left_s: float) -> Seen:
    return replace(WAITING, raised=Raised(weight, ago(made_s), after(left_s)))


def test_over_the_threshold_the_weight_rises_by_one_step_that_expires():
    assert decide(RULE, WAITING, NOW) == Raise(3.0, after(300), higher=True)
    assert decide(RULE, replace(WAITING, p95_s=30.0), NOW) is None
    assert decide(RULE, replace(WAITING, p95_s=None), NOW) is None
    assert decide(replace(RULE, enabled=False), WAITING, NOW) is None


def test_a_step_may_show_its_effect_before_the_next():
    assert decide(RULE, raised(3.0, 29, 271), NOW) is None
    assert decide(RULE, raised(3.0, 30, 270), NOW) == Raise(4.0, after(300), higher=True)


def test_it_stops_at_the_limit_and_stands_longer_there_while_the_wait_lasts():
    assert decide(RULE, raised(5.5, 60, 240), NOW) == Raise(6.0, after(300), higher=True)
    assert decide(RULE, raised(6.0, 60, 240), NOW) is None
    assert decide(RULE, raised(6.0, 150, 150), NOW) == Raise(6.0, after(300), higher=False)
    assert (
        decide(RULE, replace(WAITING, baseline=8.0), NOW) is None
    )  # a baseline over the limit is not lowered


def test_when_the_wait_is_over_nothing_is_written_and_the_raise_runs_out():
    assert decide(RULE, replace(raised(4.0, 290, 10), p95_s=12.0), NOW) is None


def test_a_person_comes_first():
    assert decide(RULE, replace(WAITING, others_weight=2.0), NOW) is None
    assert decide(RULE, replace(WAITING, taken_back_at=ago(1799)), NOW) is None
    assert decide(RULE, replace(WAITING, taken_back_at=ago(1800)), NOW) == Raise(3.0, after(300), higher=True)


@given(
    p95=st.floats(0, 1e6),
    weight=st.floats(0.1, 100),
    made=st.floats(0, 1e5),
    left=st.floats(0, 1e5),
    step=st.floats(0.1, 100),
    limit=st.floats(0.1, 100),
)
def test_it_never_lowers_a_weight_nor_passes_the_limit(p95, weight, made, left, step, limit):
    rule = replace(RULE, step=step, limit=limit)
    change = decide(rule, replace(raised(weight, made, left), p95_s=p95), NOW)
    assert change is None or (p95 > 30 and weight <= change.weight <= max(limit, weight))
    assert change is None or not change.higher or change.weight > weight

"""The rules of incidents: what goes first and why, states, cost, percentiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.incidents.policy import cost, course, order, repair_times
from console.incidents.policy.order import MONEY, SAFETY, SERVICE, Waiting
from console.incidents.policy.repair_times import Ended

HOUR = 300_000_000


def one(number, grave, *, title="a title", severity=2, mitigated=False, at=0.0, cost=0) -> Waiting:
    return Waiting(number, title, grave, severity, mitigated, at, cost)


def test_a_bypass_of_three_clips_goes_before_a_storm_that_costs_hundreds_and_it_says_so():
    storm = one(1, SERVICE, title="NaN rate", severity=1, at=0, cost=412_000_000)
    bypass = one(2, SAFETY, title="Safety bypass", severity=2, at=900, cost=35_000_000)
    drift = one(3, MONEY, title="Ledger drift", severity=1, at=100)
    assert [waiting.number for waiting in order.ordered([storm, drift, bypass])] == [2, 3, 1]
    assert order.words([storm, drift, bypass]) == (
        "Safety outranks money and service: take incident 2 (Safety bypass) first. That incident 1 (NaN rate) costs "
        "more, $412.00 by now against $35.00, changes nothing about it."
    )


def test_of_equal_stakes_severity_and_age_decide_and_one_alone_needs_no_words():
    young, old = one(1, MONEY, at=10), one(2, MONEY, at=5)
    grave = one(3, MONEY, at=20, severity=1)
    assert [waiting.number for waiting in order.ordered([young, old, grave])] == [3, 2, 1]
    assert order.words([young, old, grave]).startswith(
        "3 incidents still do harm, all about money: incident 3"
    )
    assert order.words([young]) == ""


def test_what_is_mitigated_waits_for_what_still_does_harm():
    calm, harmful = one(1, SAFETY, mitigated=True), one(2, SERVICE)
    assert [waiting.number for waiting in order.ordered([calm, harmful])] == [2, 1]
    assert order.words([calm, harmful]) == ""


waiting = st.builds(
    Waiting,
    st.integers(1, 999),
    st.just("a title"),
    st.sampled_from([SERVICE, MONEY, SAFETY]),
    st.integers(1, 4),
    st.booleans(),
    st.floats(0, 1e9),
    st.integers(0, 10**12),
)


@given(st.lists(waiting, max_size=12), st.integers(0, 10**12))
def test_no_cost_ever_changes_the_order(incidents, dearer):
    from dataclasses import replace

    as_they_are = [each.number for each in order.ordered(incidents)]
    dear = [replace(each, cost_micro_dollars=each.cost_micro_dollars * 3 + dearer) for each in incidents]
    assert [each.number for each in order.ordered(dear)] == as_they_are
    graves = [each.grave for each in order.ordered(incidents) if not each.mitigated]
    assert graves == sorted(graves, reverse=True)


def test_what_may_follow_what():
    assert course.may_follow("open", "resolved")
    assert course.may_follow("mitigated", "acknowledged")
    assert not course.may_follow("resolved", "open")
    assert not course.may_follow("open", "open")
    assert [course.severity_of(word) for word in ("critical", "error", "warning")] == [1, 2, 3]


def test_safety_and_what_has_happened_do_not_end_with_their_alarm():
    assert course.ends_with_its_alarm(SERVICE, False)
    assert not course.ends_with_its_alarm(SAFETY, False)
    assert not course.ends_with_its_alarm(MONEY, True)


def test_an_hour_of_two_people_is_counted_from_when_each_came():
    assert cost.on_call_s(0, [], 3600) == 3600
    assert cost.on_call_s(0, [600], 3600) == 3600
    assert cost.on_call_s(0, [600, 1800], 3600) == 3600 + 1800
    assert cost.on_call_micro_dollars(3600, HOUR) == 300_000_000
    assert cost.on_call_micro_dollars(45 * 60, HOUR) == 225_000_000
    assert cost.on_call_micro_dollars(0.001, HOUR) == 83
    assert cost.Cost(1, 2, 3).total == 6


def test_times_are_those_of_the_nearest_rank():
    assert repair_times.percentile([5, 1, 3], 0.5) == 3
    assert repair_times.percentile([1, 2], 0.5) == 1
    assert repair_times.percentile(list(range(1, 201)), 0.99) == 198
    assert repair_times.percentile([7], 0.99) == 7
    with pytest.raises(ValueError, match="no percentile"):
        repair_times.percentile([], 0.5)
    rows = [Ended("bypass", 60.0 * n, 600.0 * n) for n in (1, 2, 3)] + [Ended("drift", 5, 6)]
    bypass, drift = repair_times.times(rows)
    assert (bypass.count, bypass.mitigate_p50, bypass.mitigate_p99, bypass.resolve_p50) == (3, 120, 180, 1200)
    assert (drift.group, drift.resolve_p99) == ("drift", 6)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values, share):
    found = repair_times.percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9

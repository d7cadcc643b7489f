"""Limits that no money lifts: the key's own rate, and budgets. Pure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.limits import Budget
from billing.waterfall import Bucket, Limits, Request, Snapshot, decide

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONTH_ENDS = datetime(2026, 12, 1, tzinfo=UTC)
CREDIT = UNIT = 1_000_000


def snapshot(**changes) -> Snapshot:
    fields = {
        "now": NOW,
        "limits": Limits(10, 100, 1000 * UNIT, 2),
        "rate_tat": None,
        "open_jobs": 0,
        "units_in_flight_micro": 0,
        "buckets": (Bucket("purchased", 1, 100 * CREDIT),),
    }
    return Snapshot(**{**fields, **changes})


def budget(limit: float, used: float, scope: str = "member", hard_stop: bool = True) -> Budget:
    return Budget(scope, 7, round(limit * CREDIT), round(used * CREDIT), hard_stop, MONTH_ENDS, 80)


def asked(credits: float = 1) -> Request:
    return Request(UNIT, round(credits * CREDIT))


def test_a_key_has_a_rate_of_its_own_inside_the_organizations():
    org_tat, key_tat, allowed = None, None, []
    for _ in range(3):
        verdict = decide(snapshot(rate_tat=org_tat, key_tat=key_tat), asked())
        allowed.append(verdict.allowed)
        org_tat, key_tat = verdict.rate_tat or org_tat, verdict.key_tat or key_tat
    assert allowed == [True, True, False]
    assert verdict.code == "rate_limit_exceeded"
    assert verdict.retry_after_s == 30.0
    assert verdict.message.startswith("This API key may make 2 generation requests per minute")
    assert [(layer.layer, layer.outcome, layer.taken) for layer in verdict.layers[:2]] == [
        ("requests_per_minute", "passed", 0),
        ("requests_per_minute_key", "refused", 0),
    ]
    assert (verdict.rate_tat, verdict.key_tat) == (None, None)


@pytest.mark.parametrize("per_minute", [60_000_000, 60_000_001, 120_000_001, 2_147_483_647])
def test_a_limit_finer_than_the_clock_is_no_division_by_zero(per_minute):
    limits = Limits(per_minute, 100, 1000 * UNIT, per_minute)
    first = decide(snapshot(limits=limits), asked())
    assert first.allowed
    assert first.rate_tat == first.key_tat == NOW + timedelta(microseconds=1)
    again = decide(snapshot(limits=limits, rate_tat=first.rate_tat, key_tat=first.key_tat), asked())
    assert [(layer.used, layer.outcome) for layer in again.layers[:2]] == [(1, "passed")] * 2
    spent = NOW + timedelta(minutes=1)
    refused = decide(snapshot(limits=limits, rate_tat=spent), asked())
    assert (refused.code, refused.retry_after_s) == ("rate_limit_exceeded", 1e-6)


def test_without_a_key_its_limit_is_not_looked_at():
    verdict = decide(snapshot(limits=Limits(10, 100, 1000 * UNIT)), asked())
    assert verdict.key_tat is None
    assert "requests_per_minute_key" not in [layer.layer for layer in verdict.layers]


def test_a_budget_is_drawn_to_its_last_credit_and_then_stops():
    assert decide(snapshot(budgets=(budget(10, 9),)), asked(1)).allowed
    verdict = decide(snapshot(budgets=(budget(10, 9),)), asked(1.5))
    assert (verdict.code, verdict.takes) == ("budget_exceeded", ())
    assert verdict.message == (
        "The monthly budget of this member is 10.00 credits, of which 9.00 are used or held; this request needs 1.50. "
        "Nothing was charged."
    )
    assert verdict.would_allow == (
        "A budget that is 0.50 credits higher, or the same request after the budget renews at 2026-12-01 00:00 UTC."
    )
    assert verdict.retry_after_s == (MONTH_ENDS - NOW).total_seconds()


def test_a_request_above_the_whole_budget_is_not_told_to_wait():
    verdict = decide(snapshot(budgets=(budget(1, 0),)), asked(2))
    assert verdict.retry_after_s is None
    assert verdict.would_allow == "A budget that is 1.00 credits higher."


def test_a_budget_without_a_hard_stop_lets_through_and_says_so():
    verdict = decide(snapshot(budgets=(budget(10, 10, hard_stop=False),)), asked())
    assert verdict.allowed
    layer = next(layer for layer in verdict.layers if layer.layer == "budget_member")
    assert (layer.outcome, layer.used, layer.remaining) == ("over", 10 * CREDIT, 0)


def test_the_organizations_budget_stops_before_the_keys():
    verdict = decide(
        snapshot(budgets=(budget(1, 1, "organization"), budget(1, 1, "key"))),
        asked(),
    )
    assert [layer.outcome for layer in verdict.layers[-3:]] == ["refused", "not_reached", "not_reached"]


def test_what_costs_nothing_passes_a_used_up_budget():
    assert decide(snapshot(budgets=(budget(0, 0),)), asked(0)).allowed


def test_overage_comes_last_and_is_named_where_there_is_one():
    buckets = (Bucket("overage", 3, 5 * CREDIT, 5 * CREDIT), Bucket("purchased", 1, CREDIT))
    verdict = decide(snapshot(buckets=buckets), asked(4))
    assert [(take.layer, take.amount) for take in verdict.takes] == [
        ("purchased", CREDIT),
        ("overage", 3 * CREDIT),
    ]
    refused = decide(snapshot(buckets=buckets), asked(7))
    assert refused.message.endswith(
        "1.00 in purchased credits, 5.00 in overage by contract. Nothing was charged."
    )


def test_a_top_up_helps_where_one_pack_is_enough():
    verdict = decide(snapshot(top_up_micro=50 * CREDIT), asked(150))
    assert (verdict.allowed, verdict.top_up_helps) == (False, True)
    assert (verdict.layers[-1].layer, verdict.layers[-1].outcome) == ("automatic_top_up", "would_do")
    assert verdict.layers[-1].asked == 50 * CREDIT
    too_little = decide(snapshot(top_up_micro=50 * CREDIT), asked(151))
    assert (too_little.top_up_helps, too_little.layers[-1].outcome) == (False, "too_little")
    assert not decide(snapshot(), asked(150)).top_up_helps


def test_a_top_up_is_no_answer_to_a_limit():
    verdict = decide(snapshot(top_up_micro=50 * CREDIT, open_jobs=100), asked(150))
    assert (verdict.code, verdict.top_up_helps) == ("concurrency_limit_exceeded", False)


BUDGETS = st.lists(
    st.builds(
        Budget,
        st.sampled_from(["organization", "member", "key"]),
        st.integers(1, 9),
        st.integers(0, 10 * CREDIT),
        st.integers(0, 12 * CREDIT),
        st.booleans(),
        st.just(MONTH_ENDS),
    ),
    max_size=3,
)


@given(BUDGETS, st.integers(0, 5 * CREDIT))
def test_no_hard_budget_is_ever_exceeded(budgets, amount):
    verdict = decide(snapshot(budgets=tuple(budgets)), Request(UNIT, amount))
    would_exceed = any(b.hard_stop and amount > 0 and b.used + amount > b.limit for b in budgets)
    assert verdict.allowed is not would_exceed
    assert verdict.code == ("budget_exceeded" if would_exceed else "")


@given(st.integers(1, 20), st.lists(st.integers(0, 60_000), max_size=80))
def test_a_key_never_gets_more_than_a_burst_and_its_steady_rate(per_minute, gaps_ms):
    now, tat, admitted = NOW, None, []
    for gap in gaps_ms:
        now += timedelta(milliseconds=gap)
        limits = Limits(10_000, 10_000, 10**12, per_minute)
        verdict = decide(snapshot(limits=limits, now=now, key_tat=tat), Request(1, 0))
        if verdict.allowed:
            tat = verdict.key_tat
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            most = per_minute + (admitted[last] - admitted[first]) / timedelta(minutes=1) * per_minute
            assert last - first + 1 <= most + 1e-6

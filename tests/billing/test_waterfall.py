from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.waterfall import (
    ORDER,
    Bucket,
    Limits,
    Request,
    Snapshot,
    decide,
    in_units,
    rate_interval,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CREDIT = UNIT = 1_000_000
LIMITS = Limits(requests_per_minute=10, max_open=3, units_in_flight_micro=150 * UNIT)


def snapshot(*buckets: Bucket, **changes) -> Snapshot:
    fields = {
        "now": NOW,
        "limits": LIMITS,
        "rate_tat": None,
        "open_jobs": 0,
        "units_in_flight_micro": 0,
        "buckets": buckets,
    }
    return Snapshot(**{**fields, **changes})


def purchased(credits: float) -> Bucket:
    return Bucket("purchased", 1, round(credits * CREDIT))


def allowance(credits: float, of: float = 15) -> Bucket:
    return Bucket("allowance", 2, round(credits * CREDIT), limit=round(of * CREDIT))


def promotion(account: int, credits: float, days: float) -> Bucket:
    return Bucket("promotional", account, round(credits * CREDIT), expires_at=NOW + timedelta(days=days))


def asked(units: float = 1, credits: float = 0.3) -> Request:
    return Request(round(units * UNIT), round(credits * CREDIT))


def outcomes(verdict) -> dict[str, str]:
    return {layer.layer: layer.outcome for layer in verdict.layers}


class TestBuckets:
    def test_allowance_first_then_soonest_promotion_then_purchased(self):
        buckets = (purchased(10), promotion(3, 2, days=9), promotion(4, 2, days=1), allowance(5))
        verdict = decide(snapshot(*buckets), asked(credits=10))
        assert [(take.account, take.amount) for take in verdict.takes] == [
            (2, 5 * CREDIT),
            (4, 2 * CREDIT),
            (3, 2 * CREDIT),
            (1, 1 * CREDIT),
        ]
        assert verdict.message == (
            "Allowed; 10.00 credits were set aside: 5.00 from the included allowance, 4.00 from promotional credits, "
            "1.00 from purchased credits."
        )

    def test_an_exhausted_allowance_falls_through_within_the_request(self):
        verdict = decide(snapshot(allowance(0), purchased(1)), asked())
        assert verdict.allowed
        assert outcomes(verdict)["allowance"] == "empty"
        assert outcomes(verdict)["purchased"] == "taken"

    def test_what_is_not_needed_is_left_alone(self):
        verdict = decide(snapshot(allowance(1), purchased(1)), asked())
        assert outcomes(verdict)["purchased"] == "not_needed"
        assert [take.account for take in verdict.takes] == [2]

    def test_an_expired_promotion_is_not_there(self):
        verdict = decide(snapshot(promotion(3, 5, days=0), purchased(0)), asked())
        assert not verdict.allowed
        assert "promotional" not in outcomes(verdict)

    def test_every_layer_empty_is_a_refusal_for_lack_of_credit(self):
        verdict = decide(snapshot(allowance(1), purchased(0.5)), asked(units=10, credits=3))
        assert verdict.code == "credit_balance_exhausted"
        assert verdict.takes == ()
        assert verdict.rate_tat is None
        assert verdict.retry_after_s is None
        assert outcomes(verdict)["allowance"] == outcomes(verdict)["purchased"] == "short"
        assert verdict.would_allow == "1.50 credits more."
        assert verdict.message == (
            "This request needs 3.00 credits and your organization has 1.50: 1.00 in the included allowance, 0.00 in "
            "promotional credits, 0.50 in purchased credits. Nothing was charged."
        )

    def test_says_when_the_allowance_would_be_enough(self):
        midnight = datetime(2026, 11, 22, tzinfo=UTC)
        state = snapshot(allowance(0), next_allowance_at=midnight, next_allowance=15 * CREDIT)
        verdict = decide(state, asked(credits=15))
        assert verdict.retry_after_s == 12 * 3600
        assert "2026-11-22 00:00 UTC" in verdict.would_allow
        assert decide(state, asked(credits=15.1)).retry_after_s is None

    def test_a_promotion_that_ends_before_midnight_does_not_count_for_tomorrow(self):
        midnight = datetime(2026, 11, 22, tzinfo=UTC)
        state = snapshot(promotion(3, 1, days=0.1), next_allowance_at=midnight, next_allowance=CREDIT)
        assert decide(state, asked(credits=1.5)).retry_after_s is None

    def test_a_price_of_nothing_is_allowed_and_takes_nothing(self):
        verdict = decide(snapshot(purchased(0)), asked(credits=0))
        assert verdict.allowed
        assert verdict.takes == ()


class TestHardLimits:
    def test_a_burst_of_a_minute_then_a_steady_rate(self):
        tat, verdicts = None, []
        for _ in range(11):
            verdict = decide(snapshot(purchased(100), rate_tat=tat), asked())
            verdicts.append(verdict.allowed)
            tat = verdict.rate_tat or tat
        assert verdicts == [True] * 10 + [False]
        refused = decide(snapshot(purchased(100), rate_tat=tat), asked())
        assert refused.code == "rate_limit_exceeded"
        assert refused.retry_after_s == 6.0
        assert refused.would_allow == "The same request in 6 seconds."
        later = NOW + timedelta(seconds=6)
        assert decide(snapshot(purchased(100), rate_tat=tat, now=later), asked()).allowed
        almost = later - timedelta(microseconds=1)
        assert not decide(snapshot(purchased(100), rate_tat=tat, now=almost), asked()).allowed

    def test_a_clock_that_was_hours_ahead_shuts_nobody_out(self):
        verdict = decide(snapshot(purchased(100), rate_tat=NOW + timedelta(hours=3)), asked())
        assert verdict.allowed
        assert verdict.rate_tat == NOW + timedelta(seconds=6)

    def test_too_many_open_jobs(self):
        verdict = decide(snapshot(purchased(100), open_jobs=3), asked())
        assert verdict.code == "concurrency_limit_exceeded"
        assert outcomes(verdict) == {
            "requests_per_minute": "passed",
            "open_jobs": "refused",
            "units_in_flight": "not_reached",
            "purchased": "not_reached",
        }
        assert all(layer.taken == 0 for layer in verdict.layers)
        assert verdict.message == "Your organization may have 3 open jobs and has 3. Nothing was charged."

    def test_units_in_flight_at_the_limit_and_one_over(self):
        assert decide(snapshot(purchased(100), units_in_flight_micro=100 * UNIT), asked(units=50)).allowed
        over = Request(50 * UNIT + 1, 1)
        verdict = decide(snapshot(purchased(100), units_in_flight_micro=100 * UNIT), over)
        assert verdict.code == "concurrency_limit_exceeded"
        assert verdict.would_allow == (
            "The same request once 0.000001 units of the open work have finished, or one of at most 50 units now."
        )

    def test_a_request_over_the_whole_limit_is_told_so(self):
        verdict = decide(snapshot(purchased(100)), asked(units=151))
        assert verdict.retry_after_s is None
        assert verdict.would_allow == "A request of at most 150 units, or a larger tier."

    def test_hard_limits_come_before_credit(self):
        verdict = decide(snapshot(purchased(0), open_jobs=3), asked())
        assert verdict.code == "concurrency_limit_exceeded"


@pytest.mark.parametrize("request_", [Request(0, 1), Request(-1, 1), Request(1, -1)])
def test_requests_that_are_none(request_):
    with pytest.raises(ValueError, match="a request has units"):
        decide(snapshot(purchased(1)), request_)


def test_units_in_words():
    assert [in_units(n) for n in (0, 150 * UNIT, 52_500_000, 1)] == ["0", "150", "52.5", "0.000001"]


BUCKETS = st.lists(
    st.builds(
        Bucket,
        layer=st.sampled_from(ORDER),
        account=st.integers(1, 10**6),
        available=st.integers(0, 10**10),
        expires_at=st.one_of(st.none(), st.integers(-5, 5).map(lambda d: NOW + timedelta(days=d))),
    ),
    max_size=8,
    unique_by=lambda bucket: bucket.account,
)
SNAPSHOTS = st.builds(
    Snapshot,
    now=st.just(NOW),
    limits=st.builds(Limits, st.integers(1, 5), st.integers(1, 5), st.integers(1, 10**9)),
    rate_tat=st.one_of(st.none(), st.integers(-90, 90).map(lambda s: NOW + timedelta(seconds=s))),
    open_jobs=st.integers(0, 6),
    units_in_flight_micro=st.integers(0, 10**9),
    buckets=BUCKETS.map(tuple),
    next_allowance_at=st.one_of(st.none(), st.just(NOW + timedelta(hours=12))),
    next_allowance=st.integers(0, 10**9),
)
REQUESTS = st.builds(Request, st.integers(1, 10**9), st.integers(0, 10**10))


@given(SNAPSHOTS, REQUESTS)
def test_allowed_takes_exactly_the_amount_and_never_more_than_there_is(state, request_):
    verdict = decide(state, request_)
    live = {b.account: b for b in state.buckets if b.expires_at is None or b.expires_at > state.now}
    if not verdict.allowed:
        assert verdict.takes == ()
        assert all(layer.taken == 0 for layer in verdict.layers)
        assert verdict.code
        assert verdict.would_allow
        return
    assert sum(take.amount for take in verdict.takes) == request_.amount
    assert all(0 < take.amount <= live[take.account].available for take in verdict.takes)
    order = [
        (ORDER.index(take.layer), live[take.account].expires_at or state.now, take.account)
        for take in verdict.takes
    ]
    assert order == sorted(order)
    # A later bucket is only touched once every earlier one is used up.
    for take in verdict.takes[:-1]:
        assert take.amount == live[take.account].available


@given(SNAPSHOTS, REQUESTS)
def test_a_refusal_for_credit_means_that_there_is_not_enough(state, request_):
    verdict = decide(state, request_)
    live = sum(b.available for b in state.buckets if b.expires_at is None or b.expires_at > state.now)
    if verdict.code == "credit_balance_exhausted":
        assert live < request_.amount
    if verdict.allowed:
        assert live >= request_.amount
        assert state.open_jobs < state.limits.max_open
        assert state.units_in_flight_micro + request_.units_micro <= state.limits.units_in_flight_micro


@given(SNAPSHOTS, REQUESTS)
def test_every_layer_is_reported_once_in_order(state, request_):
    layers = [layer.layer for layer in decide(state, request_).layers]
    assert layers[:3] == ["requests_per_minute", "open_jobs", "units_in_flight"]
    assert [ORDER.index(layer) for layer in layers[3:]] == sorted(ORDER.index(layer) for layer in layers[3:])


@given(SNAPSHOTS, REQUESTS)
def test_waiting_as_long_as_a_rate_refusal_says_lets_the_next_one_through(state, request_):
    verdict = decide(state, request_)
    if verdict.code != "rate_limit_exceeded":
        return
    later = Snapshot(**{**state.__dict__, "now": state.now + timedelta(seconds=verdict.retry_after_s)})
    assert decide(later, request_).code != "rate_limit_exceeded"


@given(st.integers(1, 50), st.lists(st.integers(0, 30_000), max_size=200))
def test_rate_never_exceeds_a_burst_plus_the_steady_rate(per_minute, gaps_ms):
    """Over any span, at most a burst of one minute's worth and then one each interval."""
    now, tat, admitted = NOW, None, []
    for gap in gaps_ms:
        now += timedelta(milliseconds=gap)
        limits = Limits(per_minute, 10, 10**12)
        verdict = decide(snapshot(purchased(1), limits=limits, now=now, rate_tat=tat), asked())
        if verdict.allowed:
            tat = verdict.rate_tat
            admitted.append(now)
    interval = rate_interval(per_minute)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            most = per_minute + (admitted[last] - admitted[first]) / interval
            assert last - first + 1 <= most + 1e-6

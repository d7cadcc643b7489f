"""The simulator by itself: one seed makes one run, GPU-time adds up, and the policy holds against floods and rushes."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.policy import auto_raise, preemption
from generation.simulator.loop import Loop
from generation.simulator.pool import LaneTerms
from generation.simulator.quantiles import jain, quantile
from generation.simulator.report import report_of, simulate
from generation.simulator.scenario import Arrival, Change, Failure, Fleet, Preemption, Raising, Scenario
from generation.simulator.workloads import LANES, SCENARIOS, Ask, flood, in_order, without_admission


def ask(gpus: int = 40, hours: float = 0.5, seed: int = 7, **values) -> Ask:
    return Ask(gpus, hours * 3600, Random(seed), **values)


def scenario(arrivals, gpus: int = 1, horizon_s: float = 1000.0, lanes=None, **values) -> Scenario:
    lanes = lanes or [LaneTerms("free", "free", 1.0), LaneTerms("plus", "plus", 2.0)]
    return Scenario("test", "", horizon_s, Fleet(gpus), lanes, in_order(iter(arrivals)), **values)


def clips(lane: str, organization: object, count: int, ms: int = 10_000, at_s: float = 0.0, steps: int = 10):
    return [Arrival(at_s + n * 1e-6, lane, organization, ms, ms, steps) for n in range(count)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_seed_makes_one_run(name):
    first, again = (simulate(SCENARIOS[name](ask())) for _ in range(2))
    assert first == again
    assert first != simulate(SCENARIOS[name](ask(seed=8)))
    assert first.jobs == sum(lane.offered for lane in first.lanes)
    for lane in first.lanes:
        kept = lane.offered - lane.refused_rate - lane.refused_open
        assert kept == lane.delivered + lane.failed + lane.waiting + lane.running
    assert 0 < first.utilization <= 1


def test_jobs_wait_for_a_machine_and_waiting_ones_count_with_their_age():
    report = simulate(scenario(clips("plus", 1, 3), horizon_s=15.0))
    plus = report.lane("plus")
    assert (plus.delivered, plus.running, plus.waiting) == (1, 1, 1)
    assert plus.wait_p50_s == pytest.approx(10.0, abs=1e-3)  # waits of 0, 10 and 15 s
    assert plus.gpu_s == pytest.approx(15.0)
    assert report.utilization == pytest.approx(1.0)
    assert report.cost_micro_dollars == round(15 / 3600 * 3_500_000)


def test_backlogged_lanes_share_by_weight():
    report = simulate(scenario(clips("free", 1, 200) + clips("plus", 2, 200), gpus=3, horizon_s=500.0))
    assert report.lane("plus").share == pytest.approx(2 / 3, abs=0.02)
    assert report.jain_lanes == pytest.approx(1.0, abs=0.01)


def test_a_weight_change_acts_on_the_backlog_from_its_moment_on():
    arrivals = clips("free", 1, 400) + clips("plus", 2, 400)
    changed = simulate(
        scenario(arrivals, gpus=3, changes=[Change(500.0, "plus", "weight", 9.0)], horizon_s=1000.0)
    )
    # 2 : 1 for the first half, 9 : 1 for the second.
    assert changed.lane("plus").share == pytest.approx((2 / 3 + 9 / 10) / 2, abs=0.02)


def test_a_lost_machine_costs_what_ran_since_the_last_checkpoint():
    arrivals = clips("plus", 1, 1, ms=100_000, steps=100)
    lost = scenario(arrivals, gpus=2, failures=[Failure(57.5, 1, 600.0), Failure(57.5, 0, 600.0)])
    with_checkpoints = simulate(lost)
    # At 57.5 s 57 steps of 1 s were done: 50 are kept. It is found after 30 s and machines are back after 600 s.
    assert with_checkpoints.wasted_gpu_s == pytest.approx(7.5)
    assert with_checkpoints.wasted_without_checkpoints_gpu_s == pytest.approx(57.5)
    assert with_checkpoints.lane("plus").system_p50_s == pytest.approx(657.5 + 50)
    without = simulate(replace(lost, fleet=replace(lost.fleet, checkpoints=False)))
    assert without.wasted_gpu_s == pytest.approx(57.5)
    assert without.lane("plus").system_p50_s == pytest.approx(657.5 + 100)


def test_a_job_whose_machines_die_three_times_is_given_up():
    arrivals = clips("plus", 1, 1, ms=100_000, steps=100)
    failures = [Failure(at_s, 0, 1.0) for at_s in (10.0, 50.0, 90.0)]
    report = simulate(scenario(arrivals, failures=failures))
    assert (report.lane("plus").failed, report.lane("plus").delivered) == (1, 0)
    assert report.lane("plus").lost_attempts == 3


def test_a_blow_up_ends_the_job_and_its_time_is_lost():
    (good, bad) = clips("plus", 1, 2, ms=100_000, steps=100)
    report = simulate(scenario([good, bad._replace(nan_at=0.3)]))
    assert (report.lane("plus").failed, report.lane("plus").delivered) == (1, 1)
    assert report.wasted_nan_gpu_s == pytest.approx(30.0)


def test_a_late_clip_earns_its_credit():
    lanes = [LaneTerms("plus", "plus", 2.0, target_s=15.0, credit_micro=20_000_000)]
    report = simulate(scenario(clips("plus", 1, 3), lanes=lanes))
    assert report.lane("plus").late == 2
    assert report.sla_credits_micro == 40_000_000


def test_admission_refuses_by_minute_by_key_and_by_open_jobs():
    lanes = [LaneTerms("plus", "plus", 1.0, max_open=5, per_minute=8, per_minute_key=3)]
    one_key = simulate(scenario(clips("plus", 1, 20), lanes=lanes, horizon_s=5.0)).lane("plus")
    assert (one_key.refused_rate, one_key.refused_open, one_key.running + one_key.waiting) == (17, 0, 3)
    arrivals = [arrival._replace(key=number) for number, arrival in enumerate(clips("plus", 1, 20))]
    many_keys = simulate(scenario(arrivals, lanes=lanes, horizon_s=5.0)).lane("plus")
    assert (many_keys.refused_open, many_keys.running + many_keys.waiting) == (15, 5)


def test_a_running_free_clip_gives_way_and_loses_nothing():
    lanes = [LaneTerms("free", "free", 1.0, preemptible=True), LaneTerms("plus", "plus", 2.0)]
    arrivals = clips("free", 1, 2, ms=400_000, steps=100) + clips("plus", 2, 1, at_s=10.0)
    rule = Preemption(20.0, preemption.Terms(most=2, soon_s=2.0))
    waits = simulate(scenario(arrivals, lanes=lanes))
    gives_way = simulate(scenario(arrivals, lanes=lanes, preemption=rule))
    assert waits.lane("plus").wait_p50_s == pytest.approx(390.0, abs=0.1)
    # Over the bound at 30 s, seen at 31, and the clip that yields ends its step of 4 s at 32.
    assert gives_way.lane("plus").wait_p50_s == pytest.approx(22.0, abs=0.01)
    assert gives_way.lane("free").preempted == 1
    assert gives_way.wasted_gpu_s == pytest.approx(0.0, abs=1e-6)
    assert gives_way.lane("free").delivered == waits.lane("free").delivered == 2


def test_the_auto_raise_rule_raises_a_lane_that_waits_and_lets_it_return():
    rule = auto_raise.Rule(True, 30.0, 1.0, 6.0, 30.0, 300.0, 1800.0)
    crowd = [one for n in range(60) for one in clips("plus", 100 + n, 1, at_s=n * 1e-6)]
    arrivals = clips("free", 1, 400) + crowd
    raised = Loop(scenario(arrivals, gpus=3, horizon_s=2000.0, raising=Raising({"plus": rule}))).run()
    assert raised.tallies["plus"].raises == 4  # 2 → 6, its limit
    assert raised.pool.lanes["plus"].weight == 2.0  # long over by then
    plain = simulate(scenario(arrivals, gpus=3, horizon_s=2000.0))
    assert report_of(raised).lane("plus").wait_p95_s < plain.lane("plus").wait_p95_s
    # As many clips of one organization wait as long, and it gets its turns: nothing is raised for it.
    flood = clips("free", 1, 400) + clips("plus", 2, 60)
    flooded = Loop(scenario(flood, gpus=3, horizon_s=2000.0, raising=Raising({"plus": rule}))).run()
    assert flooded.tallies["plus"].raises == 0


def test_quantiles_and_the_index():
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert quantile([5.0], 0.95) == 5.0
    assert jain([2.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert jain([1.0]) is None


# --- what it must show ---


def test_a_free_rush_is_absorbed_by_the_free_tier_while_plus_stays_under_30_s():
    """A tenth of the fleet, to stay quick; `manage.py simulate --scenario free-rush --gpus 4000` has all of it."""
    rush, steady = (
        simulate(SCENARIOS[name](Ask(400, 3600.0, Random(1)))) for name in ("free-rush", "steady")
    )
    plus, free = rush.lane("plus"), rush.lane("free")
    assert plus.wait_p95_s < 30.0
    assert plus.waiting == 0
    assert plus.offered == steady.lane("plus").offered
    assert plus.gpu_s == pytest.approx(steady.lane("plus").gpu_s, rel=0.01)
    assert plus.late < 0.01 * plus.delivered
    assert free.wait_p95_s > 1000.0
    assert free.gpu_s > 2 * steady.lane("free").gpu_s  # idle machines were not held back from it
    assert rush.utilization > 0.95


def flooded(keys: int, steps: int, gpus: int = 20):
    """The flood without admission and without caps, so that fair share alone stands against it; every lane waits."""
    made = flood(ask(gpus, hours=1.0), keys=keys, steps=steps, per_gpu_s=0.02)
    lanes = [replace(lane, max_running=10_000) for lane in without_admission(LANES)]
    return replace(made, lanes=lanes)


def test_a_flood_gains_nothing_by_keys_or_by_small_jobs():
    whole = simulate(flooded(1, 50))
    for keys, steps in ((200, 50), (200, 5), (1, 5)):
        split = simulate(flooded(keys, steps))
        assert split.watched.gpu_s <= whole.watched.gpu_s * 1.03
        for lane in ("pro", "enterprise"):
            assert split.lane(lane).wait_p95_s <= whole.lane(lane).wait_p95_s + 5.0
        assert split.lane("plus").wait_p95_s <= whole.lane("plus").wait_p95_s + 5.0
    assert whole.watched.wait_p95_s > 1000.0  # its own jobs wait, nobody else's do
    assert whole.lane("plus").wait_p95_s < 60.0


@settings(max_examples=25)
@given(
    st.integers(1, 6),
    st.integers(1, 200),
    st.sampled_from((2_000, 6_000, 24_000, 124_000)),
    st.integers(0, 10_000),
)
def test_whoever_floods_gets_an_organizations_part_and_no_more(neighbours, keys, ms, seed):
    """One flooder beside others that always wait too: over the span it gets its n-th part, give or take what a claim
    weighs on every machine."""
    gpus, horizon, theirs = 4, 3000.0, 24_000
    chance = Random(seed)
    count = int(gpus * horizon * 1000 / ms) + 1
    flooder = [Arrival(0.0, "plus", "flooder", ms, ms, 1, key=n % keys) for n in range(count)]
    others = [
        Arrival(chance.random(), "plus", ("other", number), theirs, theirs, 1)
        for number in range(neighbours)
        for _ in range(int(gpus * horizon * 1000 / theirs) + 1)
    ]
    made = scenario(flooder + others, gpus=gpus, horizon_s=horizon, lanes=[LaneTerms("plus", "plus", 2.0)])
    report = simulate(replace(made, watched="flooder"))
    fair = gpus * horizon / (neighbours + 1)
    bound = (ms + theirs) / 1000 * (
        1 + gpus
    ) + gpus  # the policy's bound, what runs at the end, the first second
    assert report.watched.gpu_s <= fair + bound
    assert report.watched.gpu_s >= fair - bound


def test_200_new_free_organizations_take_nothing_from_the_paid_lanes():
    with_them = simulate(SCENARIOS["new-organizations"](ask(100, hours=1.0)))
    without = simulate(SCENARIOS["steady"](ask(100, hours=1.0)))
    for lane in ("plus", "pro", "enterprise"):
        assert with_them.lane(lane).gpu_s == pytest.approx(without.lane(lane).gpu_s, rel=0.01)
        assert with_them.lane(lane).waiting == 0
        assert with_them.lane(lane).wait_p95_s < 30.0
    assert with_them.lane("free").wait_p95_s > 300.0


def test_among_lanes_that_all_wait_new_free_organizations_share_the_free_lanes_part():
    """Everything backlogged: 200 more organizations in the free lane leave its part at 1 of 15."""
    lanes = [replace(lane, max_running=10_000, floor=0.0) for lane in without_admission(LANES)]
    backlog = [arrival for lane in lanes for n in range(5) for arrival in clips(lane.slug, n, 300, ms=20_000)]
    crowd = [arrival for n in range(200) for arrival in clips("free", ("new", n), 10, ms=20_000)]
    few = simulate(scenario(backlog, gpus=20, lanes=lanes, horizon_s=900.0))
    many = simulate(scenario([*backlog, *crowd], gpus=20, lanes=lanes, horizon_s=900.0))
    assert few.lane("free").share == pytest.approx(1 / 15, abs=0.02)
    assert many.lane("free").share == pytest.approx(few.lane("free").share, abs=0.01)

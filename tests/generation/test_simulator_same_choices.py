"""The simulator and the live dispatcher, given one trace, choose the same jobs, claim by claim.

The live side is the real one: jobs that were admitted, `dispatch.claim` on PostgreSQL, attempts that really end. The
simulator is told only what a trace says: who asked for how much, what ended after how long, which setting changed. The
moments of its claims are those that the database noted, since recent GPU-time fades by its clock.
"""

from random import Random

import pytest
from django.utils import timezone

from generation import finalization
from generation.finalization import Ran
from generation.models import Attempt, Job, Lane, LaneOverride
from generation.scheduling import lane_settings
from generation.scheduling.leases import lease_of
from generation.simulator.pool import Job as VirtualJob
from generation.simulator.pool import LaneTerms, VirtualPool
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, end_as_cancelled, idle_worker, submit

pytestmark = pytest.mark.django_db

TIERS = ("free", "plus", "pro")
COSTS_MS = (300, 900, 1500, 4000, 9000, 20_000)


class Beside:
    """Both of them, given the same things to do."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.worker = idle_worker()
        self.lanes = {lane.slug: lane for lane in lane_settings.lanes("clips")}
        self.pool = VirtualPool(
            LaneTerms(slug, lane.tier_id, lane.weight, lane.floor, lane.max_running)
            for slug, lane in self.lanes.items()
        )
        self.tenants = {tier: [tenant(tier, credit=10**10) for _ in range(3)] for tier in TIERS}
        self.virtual: dict[object, VirtualJob] = {}
        self.live: list[Attempt] = []
        self.began = timezone.now()
        self.lanes_served: list[str] = []

    def submit(self, tier: str, who: int, cost_ms: int) -> None:
        job = submit(self.tenants[tier][who])
        Job.objects.filter(pk=job.pk).update(estimate_gpu_ms=cost_ms)
        lane = self.pool.lanes[job.lane_id]
        place = self.pool.organization(lane, job.organization_id)
        virtual = VirtualJob(place, len(self.virtual), self.seconds(job.queued_at), cost_ms, cost_ms)
        self.virtual[job.pk] = virtual
        self.pool.enqueue(lane, virtual, virtual.queued_at)

    def claim(self) -> bool:
        """One claim of each; the job must be the same. False where there was none."""
        attempt = claim(self.worker)
        noted = Lane.objects.filter(pool="clips", recent_at__isnull=False).order_by("-recent_at").first()
        now = self.seconds(noted.recent_at) if noted else 0.0
        found = self.pool.claim(now)
        if attempt is None:
            assert found is None
            return False
        assert found is not None
        lane, virtual = found
        assert self.virtual[attempt.job_id] is virtual
        assert lane.slug == attempt.lane_id
        assert virtual.weight == attempt.charged_weight
        row = Lane.objects.get(pk=lane.slug)
        assert lane.tag == pytest.approx(row.tag)
        assert lane.organization_virtual_time == pytest.approx(row.organization_virtual_time)
        assert lane.recent_gpu_ms == pytest.approx(row.recent_gpu_ms, rel=1e-6)
        self.live.append(attempt)
        self.lanes_served.append(lane.slug)
        return True

    def end(self, number: int, gpu_ms: int) -> None:
        """An attempt is over; it took what it took."""
        attempt = self.live.pop(number)
        end_as_cancelled(attempt, gpu_ms=gpu_ms)
        self.pool.ended(self.pool.lanes[attempt.lane_id], self.virtual[attempt.job_id], gpu_ms)

    def hand_back(self, number: int, gpu_ms: int) -> None:
        """An attempt drains: its job returns to the head of its lane."""
        attempt = self.live.pop(number)
        finalization.hand_back(lease_of(attempt), Ran(gpu_ms=gpu_ms, steps=1), "drain")
        job = self.virtual[attempt.job_id]
        self.pool.hand_back(self.pool.lanes[attempt.lane_id], job, gpu_ms, 0.0)

    def change(self, slug: str, field: str, value: float) -> None:
        LaneOverride.objects.create(
            lane_id=slug, field=field, value=value, author_kind="operator", author="a test", reason="a test"
        )
        self.pool.change(slug, field, value)

    def cancel_a_waiting_one(self) -> None:
        job = Job.objects.filter(state="queued").order_by("queued_at").first()
        if job is None:
            return
        finalization.cancel_waiting(job, "a test")
        self.pool.withdraw(self.pool.lanes[job.lane_id], self.virtual[job.pk], 0.0)

    def seconds(self, moment) -> float:
        return (moment - self.began).total_seconds()


def drain(both: Beside) -> None:
    """Claim and end until nothing waits."""
    while both.claim():
        both.end(-1, both.live[-1].charged_gpu_ms)


def test_a_backlog_in_every_lane_is_served_in_the_same_order():
    both = Beside(1)
    for round_ in range(2):
        for tier in TIERS:
            for who in range(3):
                both.submit(tier, who, COSTS_MS[(round_ * 7 + who * 3 + len(tier)) % len(COSTS_MS)])
    drain(both)
    assert len(both.lanes_served) == 18
    assert {*both.lanes_served} == {"clips-free", "clips-plus", "clips-pro"}


def test_the_burst_cap_holds_in_both_and_a_higher_one_lets_both_go_on():
    both = Beside(2)
    for _ in range(6):
        both.submit("free", 0, 1000)
    assert [both.claim() for _ in range(4)] == [True, True, True, False]
    both.change("clips-free", "max_running", 5)
    assert [both.claim() for _ in range(3)] == [True, True, False]
    both.end(0, 400)
    assert both.claim()


def test_a_lane_that_returns_and_one_under_its_floor_are_met_alike():
    both = Beside(3)
    for _ in range(8):
        both.submit("free", 0, 4000)
    for _ in range(4):
        both.claim()
        both.end(-1, 4000)
    both.change("clips-plus", "floor", 0.6)  # Plus was idle: no credit for that, but a floor it is under
    for _ in range(4):
        both.submit("plus", 1, 1500)
    drain(both)
    assert both.lanes_served[4:6] == ["clips-plus", "clips-plus"]


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_one_random_trace_makes_the_same_choices(seed):
    both = Beside(seed)
    chance = both.chance
    claims = 0
    for _ in range(90):
        what = chance.random()
        if what < 0.40:
            free_places = [(tier, who) for tier in TIERS for who in range(3)]
            tier, who = chance.choice(free_places)
            open_jobs = both.tenants[tier][who].organization.jobs.filter(finished_at=None).count()
            if open_jobs < 9:
                both.submit(tier, who, chance.choice(COSTS_MS))
        elif what < 0.70:
            claims += both.claim()
        elif what < 0.86 and both.live:
            attempt = chance.randrange(len(both.live))
            both.end(attempt, round(both.live[attempt].charged_gpu_ms * chance.choice((0.2, 0.9, 1.0, 1.3))))
        elif what < 0.92 and both.live:
            both.hand_back(chance.randrange(len(both.live)), chance.choice((0, 700, 2500)))
        elif what < 0.95:
            both.cancel_a_waiting_one()
        else:
            slug = f"clips-{chance.choice(TIERS)}"
            field, value = chance.choice(
                [("weight", 0.7), ("weight", 6.0), ("floor", 0.3), ("max_running", 2), ("max_running", 6)]
            )
            both.change(slug, field, value)
    drain(both)
    assert claims > 15

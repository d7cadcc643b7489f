"""Who is served next, on the live tables: organizations take turns, weights act at once, caps and corrections hold."""

import pytest
from django.utils import timezone

from accounts import actions, staff
from accounts.models import StaffRole
from generation import finalization
from generation.finalization import Ran
from generation.models import Attempt, Lane, LaneOrganization, LaneOverride, Pool, State
from generation.scheduling.lane_actions import ChangeLaneWeight
from generation.scheduling.leases import lease_of
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, end_as_cancelled, idle_worker, submit, submit_code, submit_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    return idle_worker()


def served(worker, count: int) -> list[str]:
    """Claim and end `count` jobs as estimated; the tiers that were served."""
    lanes = []
    for _ in range(count):
        attempt = claim(worker)
        lanes.append(attempt.lane_id.removeprefix("clips-"))
        end_as_cancelled(attempt, gpu_ms=attempt.charged_gpu_ms)
    return lanes


def test_one_newcomer_goes_before_fifty_that_wait(worker):
    flood, newcomer = tenant("plus"), tenant("plus")
    submit_many(flood, 50)
    first = claim(worker)
    assert first.organization == flood.organization
    alone = submit(newcomer)
    assert claim(worker).job == alone


def test_a_weight_changed_while_both_wait_changes_the_very_next_claims(worker, django_user_model):
    submit_many(tenant("free", credit=10**9), 8)
    submit_many(tenant("plus"), 20)
    # A Plus clip runs 50 steps and a free one 30, so 2 : 1 in GPU-seconds is about 4 : 3 in clips.
    assert served(worker, 7).count("plus") == 4
    operator = django_user_model.objects.create_user("operator@example.com", "a long enough password")
    staff.grant(operator, StaffRole.Role.OPERATOR, by="tests", reason="for this test")
    entry = actions.perform(ChangeLaneWeight("clips-plus", 8.0), operator, "a rush")
    assert entry.before == {"weight": 2.0}
    assert entry.after == {"weight": 8.0}
    assert served(worker, 6).count("plus") == 5  # 8 : 1, about 5 : 1 in clips
    actions.revert(ChangeLaneWeight("clips-plus"), entry, operator, "the rush is over")
    assert served(worker, 7).count("plus") in (3, 4)


def test_an_override_that_expired_counts_no_more(worker):
    LaneOverride.objects.create(
        lane_id="clips-plus",
        field="weight",
        value=8.0,
        author_kind="operator",
        author="someone",
        reason="a while ago",
        created_at=timezone.now() - timezone.timedelta(hours=2),
        expires_at=timezone.now() - timezone.timedelta(hours=1),
    )
    submit(tenant("plus"))
    assert claim(worker).charged_weight == 2.0


def test_burst_cap_of_an_organization_is_kept_at_the_claim(worker):
    free = tenant("free", credit=10**9)
    submit_many(free, 5)
    assert [claim(worker) is not None for _ in range(4)] == [True, True, True, False]
    place = LaneOrganization.objects.get(organization=free.organization)
    assert (place.waiting, place.running) == (2, 3)
    end_as_cancelled(Attempt.objects.filter(ended_at=None).first())
    assert claim(worker) is not None


def test_the_next_claim_puts_the_estimate_right(worker):
    submit_many(tenant("plus"), 3)
    attempt = claim(worker)
    charged = Lane.objects.get(pk="clips-plus").tag
    assert charged == pytest.approx(attempt.charged_gpu_ms / 2.0)
    end_as_cancelled(attempt, gpu_ms=attempt.charged_gpu_ms + 1000)
    second = claim(worker)
    expected = charged + 1000 / 2.0 + second.charged_gpu_ms / 2.0
    assert Lane.objects.get(pk="clips-plus").tag == pytest.approx(expected)
    assert Attempt.objects.get(pk=attempt.pk).corrected


def test_what_was_handed_back_comes_first_and_keeps_its_progress(worker):
    plus = tenant("plus")
    first, second = submit_many(plus, 2)
    attempt = claim(worker)
    assert attempt.job == first
    finalization.hand_back(lease_of(attempt), Ran(steps=20), "drain")
    again = claim(worker)
    assert again.job == first
    assert again.fence > attempt.fence
    assert claim(worker).job == second


def test_a_job_that_lost_its_worker_while_finishing_is_adopted_in_its_state(worker):
    submit(tenant("plus"))
    waiting = submit(tenant("plus"))
    attempt = claim(worker)
    finalization.begin_finishing(lease_of(attempt), Ran(steps=50))
    finalization.attempt_failed(lease_of(attempt), Ran(steps=50), "the encoder fell over")
    adopted = claim(worker)
    assert adopted.job == attempt.job
    assert adopted.job.state == State.FINISHING
    assert claim(worker).job == waiting


def test_a_lane_under_its_floor_goes_first_and_one_back_from_idleness_starts_where_the_others_are(worker):
    submit_many(tenant("free", credit=10**9), 2)
    submit_many(tenant("plus"), 2)
    Pool.objects.filter(pk="clips").update(virtual_time=5_000_000)
    Lane.objects.filter(pk="clips-free").update(tag=5_000_000, recent_gpu_ms=1e6, recent_at=timezone.now())
    Lane.objects.filter(pk="clips-plus").update(tag=9_000_000)
    first = claim(worker)
    assert first.lane_id == "clips-plus"  # its floor is a tenth, and it had nothing of the last minutes
    Lane.objects.filter(pk="clips-plus").update(tag=0, recent_gpu_ms=1e6, recent_at=timezone.now())
    second = claim(worker)
    assert second.lane_id == "clips-plus"
    assert Lane.objects.get(pk="clips-plus").tag == pytest.approx(5_000_000 + second.charged_gpu_ms / 2.0)


def test_what_was_taken_back_unrun_is_owed_until_it_was_caught_up(worker):
    plus = tenant("plus")
    submit_many(plus, 3)
    submit_many(tenant("pro"), 9)
    attempts = [claim(worker) for _ in range(9)]
    mine = [attempt for attempt in attempts if attempt.lane_id == "clips-plus"]
    assert len(mine) == 3
    for attempt in mine:
        finalization.hand_back(lease_of(attempt), Ran(), "a drain")
    assert [claim(worker).lane_id for _ in range(3)] == ["clips-plus"] * 3
    lane, pool = Lane.objects.get(pk="clips-plus"), Pool.objects.get(pk="clips")
    assert lane.tag == pytest.approx(sum(attempt.charged_gpu_ms for attempt in mine) / 2.0)
    assert lane.owed <= max(0.0, pool.virtual_time - lane.tag)


def test_pools_do_not_take_each_others_jobs(worker):
    plus = tenant("plus")
    code = submit_code(plus)
    assert claim(worker) is None
    assert claim(idle_worker("code")).job == code


def test_a_claim_makes_a_bounded_number_of_queries(worker, django_assert_max_num_queries):
    for _ in range(3):
        submit_many(tenant("plus"), 2)
    with django_assert_max_num_queries(24):
        claim(worker)

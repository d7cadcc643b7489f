"""Leases by the database's clock: whoever lost one writes nothing, and the job goes on elsewhere."""

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import OperationalEvent, OutboxEvent
from billing.models import Hold
from generation import finalization, upkeep
from generation.finalization import Ran
from generation.models import Attempt, Job, State, Worker
from generation.scheduling.leases import LeaseLost, lease_of
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt():
    submit(tenant("plus"))
    return claim(idle_worker())


def let_lease_run_out(attempt: Attempt) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(lease_expires_at=Now() - timezone.timedelta(seconds=1))


def test_progress_renews_the_lease_and_reads_what_others_want(attempt):
    wishes = lease_of(attempt).renew(step=7, stage="denoising")
    assert (wishes.desired, wishes.cancel) == ("run", False)
    renewed = Attempt.objects.get(pk=attempt.pk)
    assert (renewed.step, renewed.stage) == (7, "denoising")
    assert renewed.lease_expires_at > attempt.lease_expires_at
    Worker.objects.update(desired="drain")
    Job.objects.update(cancel_requested_at=Now())
    wishes = lease_of(attempt).renew()
    assert (wishes.desired, wishes.cancel) == ("drain", True)


def test_a_piece_that_reports_nothing_may_take_longer_than_a_lease_and_never_shortens_one(attempt):
    for asked, given in ((0, attempt.lease_seconds), (1, attempt.lease_seconds), (500, 500)):
        lease_of(attempt).renew(seconds=asked)
        left = Attempt.objects.get(pk=attempt.pk).lease_expires_at - timezone.now()
        assert given - 5 < left.total_seconds() <= given + 1


def test_a_lease_that_ran_out_is_lost_even_before_the_reaper_comes(attempt):
    let_lease_run_out(attempt)
    with pytest.raises(LeaseLost):
        lease_of(attempt).renew(step=8)
    with pytest.raises(LeaseLost):
        finalization.begin_finishing(lease_of(attempt), Ran(steps=50))
    assert Job.objects.get().state == State.RUNNING


def test_a_worker_that_wakes_up_late_can_write_nothing(attempt):
    let_lease_run_out(attempt)
    assert upkeep.reap() == 1
    second = claim(idle_worker())
    assert second.job == attempt.job
    stale = lease_of(attempt)
    for write in (
        lambda: stale.renew(step=30),
        lambda: finalization.begin_finishing(stale, Ran(steps=50)),
        lambda: finalization.cancel_running(stale, Ran(steps=30)),
        lambda: finalization.fail(stale, Ran(), "internal_error", "stale."),
        lambda: finalization.hand_back(stale, Ran(), "stale"),
        lambda: finalization.block(stale, Ran(), "stale", "violence"),
    ):
        with pytest.raises(LeaseLost):
            write()
    job = Job.objects.get()
    assert (job.state, job.fence) == (State.RUNNING, second.fence)
    assert Hold.objects.get().state == Hold.State.OPEN


def test_the_reaper_leaves_living_attempts_alone(attempt):
    assert upkeep.reap() == 0
    assert Attempt.objects.get().ended_at is None


def test_a_job_that_loses_three_workers_is_parked_and_not_charged(attempt):
    for number in range(1, 4):
        let_lease_run_out(Attempt.objects.get(ended_at=None))
        upkeep.reap()
        job = Job.objects.get()
        assert job.attempts_failed == number
        if number < 3:
            assert job.state == State.QUEUED
            assert claim(idle_worker()).job == job
    assert (job.state, job.error_code, job.charge_micro) == (State.FAILED, "internal_error", 0)
    hold = Hold.objects.get()
    assert hold.state != Hold.State.OPEN
    assert hold.captured == 0
    assert OperationalEvent.objects.filter(kind="job.failed.internal_error").count() == 1
    assert OutboxEvent.objects.filter(topic="video.failed").count() == 1
    assert claim(idle_worker()) is None


def test_a_lost_attempt_pays_its_lane_up_to_the_last_renewal(attempt):
    lease_of(attempt).renew(step=3)
    let_lease_run_out(attempt)
    upkeep.reap()
    ended = Attempt.objects.get(pk=attempt.pk)
    assert ended.outcome == Attempt.Outcome.LOST
    assert ended.gpu_ms == 0  # the renewal lies before its start here, and time never runs backwards


def test_silent_workers_are_closed(attempt):
    Worker.objects.update(seen_at=Now() - timezone.timedelta(minutes=3))
    assert upkeep.forget_silent_workers() == 1
    assert upkeep.forget_silent_workers() == 0

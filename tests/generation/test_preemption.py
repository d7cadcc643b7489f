"""Taking the device back between two steps: who may be asked, what it costs, and where the job stands afterwards."""

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import OperationalEvent
from generation import finalization
from generation.finalization import Ran
from generation.models import Attempt, Job, State
from generation.scheduling import preemption
from generation.scheduling.leases import lease_of
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit

pytestmark = pytest.mark.django_db
REASON = "a Plus clip has waited 40 s"


@pytest.fixture
def free():
    return tenant("free", credit=10**9)


@pytest.fixture
def attempt(free):
    submit(free)
    return claim(idle_worker())


def test_a_running_attempt_reads_the_wish_with_its_next_renewal(attempt):
    assert lease_of(attempt).renew(step=3).preempt == ""
    assert preemption.request(attempt.pk, REASON)
    assert lease_of(attempt).renew(step=4).preempt == REASON
    assert not preemption.request(attempt.pk, "asked twice")
    assert lease_of(attempt).renew(step=5).preempt == REASON


def test_only_lanes_that_said_so_and_jobs_that_still_denoise_are_asked(attempt):
    submit(tenant("plus"))
    paid = claim(idle_worker())
    assert not paid.lane.preemptible
    assert not preemption.request(paid.pk, REASON)
    finalization.begin_finishing(lease_of(attempt), Ran(steps=30))
    assert not preemption.request(attempt.pk, REASON)
    with pytest.raises(ValueError):
        preemption.request(attempt.pk, " ")
    assert not Attempt.objects.exclude(preempt_requested_at=None).exists()


def test_giving_way_keeps_progress_records_cost_and_place_and_costs_no_failed_attempt(attempt, free):
    behind = submit(free)
    preemption.request(attempt.pk, REASON)
    job = preemption.give_way(lease_of(attempt), Ran(gpu_ms=700, steps=13), REASON, yield_ms=42)
    assert (job.state, job.ahead_of_lane, job.attempts_failed) == (State.QUEUED, True, 0)
    ended = Attempt.objects.get(pk=attempt.pk)
    assert (ended.outcome, ended.yield_ms, ended.return_position) == (Attempt.Outcome.HANDED_BACK, 42, 1)
    event = OperationalEvent.objects.get(kind="attempt.preempted")
    assert event.detail["waited_ms"] >= 0
    assert {name: event.detail[name] for name in ("reason", "step", "yield_ms", "position")} == {
        "reason": REASON,
        "step": 13,
        "yield_ms": 42,
        "position": 1,
    }
    job.hold.refresh_from_db()
    assert job.hold.state == job.hold.State.OPEN
    # It comes before a job of its organization's that was submitted after it.
    assert claim(idle_worker()).job_id == job.pk
    assert Job.objects.get(pk=behind.pk).state == State.QUEUED


def test_the_database_keeps_a_reason_with_every_preemption(attempt):
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE generation_attempt SET preempt_requested_at = now()")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE generation_attempt SET preempt_reason = 'because'")

"""What the beat puts right: lost tickets, and jobs that waited too long for a signer or a person."""

import signal
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from billing.models import Hold
from generation import finalization, upkeep
from generation.finalization import Ran
from generation.models import Attempt, Job, State, Worker
from generation.scheduling.leases import lease_of
from generation.worker.station import Station
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit, submit_code, submit_many

pytestmark = pytest.mark.django_db


def finishing() -> Attempt:
    submit(tenant("plus"))
    attempt = claim(idle_worker())
    finalization.begin_finishing(lease_of(attempt), Ran(steps=50))
    return attempt


def test_every_waiting_job_gets_a_ticket_up_to_a_few_a_pool(clean_redis):
    plus = tenant("plus")
    submit_many(plus, 3)
    submit_code(plus)
    assert upkeep.top_up_tickets() == {"clips": 3, "code": 1}
    assert (clean_redis.llen("clips"), clean_redis.llen("code")) == (3, 1)
    submit_many(tenant("pro"), 20)
    assert upkeep.top_up_tickets()["clips"] == upkeep.MOST_TICKETS


def test_a_job_with_a_living_worker_needs_no_ticket_an_orphan_does(clean_redis):
    attempt = finishing()
    assert upkeep.top_up_tickets() == {}
    finalization.attempt_failed(lease_of(attempt), Ran(steps=50), "the encoder fell over")
    assert upkeep.top_up_tickets() == {"clips": 1}


@pytest.mark.parametrize(
    ("wait", "patience", "expire", "state", "code"),
    [
        ("held", upkeep.SIGNING_PATIENCE, upkeep.expire_held, State.FAILED, "internal_error"),
        ("review", upkeep.REVIEW_PATIENCE, upkeep.expire_reviews, State.BLOCKED, "moderation_blocked"),
    ],
)
def test_what_waited_too_long_ends_and_costs_nothing(wait, patience, expire, state, code):
    lease = lease_of(finishing())
    move = finalization.hold_for_signing if wait == "held" else finalization.send_to_review
    assert move(lease, Ran(steps=50), "a test").state == wait
    Job.objects.update(state_at=Now() - patience + timedelta(minutes=1))
    assert expire() == 0
    Job.objects.update(state_at=Now() - patience - timedelta(minutes=1))
    assert expire() == 1
    job = Job.objects.get()
    assert (job.state, job.error_code, job.charge_micro) == (state, code, 0)
    assert Hold.objects.get().captured == 0
    assert Hold.objects.get().state != Hold.State.OPEN


def test_a_worker_that_is_to_drain_takes_nothing_and_says_when_it_stops():
    submit_code(tenant("plus"))
    station = Station(idle_worker("code").pool, slots=1)
    assert station.wanted()
    Worker.objects.filter(pk=station.worker.pk).update(desired=Worker.Desired.DRAIN)
    assert not station.wanted()
    station.close()
    assert Worker.objects.get(pk=station.worker.pk).stopped_at is not None


def test_a_worker_whose_row_is_gone_stops_instead_of_failing_every_ticket():
    station, told = Station(idle_worker("code").pool, slots=1), []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append("to stop"))
    try:
        Worker.objects.filter(pk=station.worker.pk).delete()
        assert not station.wanted()
    finally:
        signal.signal(signal.SIGTERM, before)
        station.stopping.set()
    assert told == ["to stop"]

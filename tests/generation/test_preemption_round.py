"""A round of preemption on real rows: who is asked, that the database counts, and who gets the device."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from generation.finalization import Ran
from generation.models import Attempt, Job, Lane, PoolOverride, PoolSettings, Worker
from generation.scheduling import preemption
from generation.scheduling.leases import lease_of
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit

pytestmark = pytest.mark.django_db
LONG = 600_000  # milliseconds that the registry says each clip takes


@pytest.fixture
def free():
    return tenant("free", credit=10**9)


def long_clip(who) -> Job:
    """A clip that will hold its device for ten minutes."""
    job = submit(who)
    Job.objects.filter(pk=job.pk).update(estimate_gpu_ms=LONG)
    return job


def waits(job: Job, seconds: float) -> Job:
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(seconds=seconds))
    return job


def override(field: str, value) -> None:
    PoolOverride.objects.create(
        pool_id="clips", field=field, value=value, author_kind="operator", author="op", reason="test"
    )


def test_a_plus_job_over_the_bound_takes_a_free_clips_device_and_gets_it(free):
    worker = idle_worker()
    long_clip(free)
    running = claim(worker)
    paid = waits(submit(tenant("plus")), 25)
    assert preemption.run(timezone.now()) == [running.pk]
    wish = lease_of(running).renew(step=3).preempt
    assert wish == "a job in clips-plus has waited 25 s"
    assert preemption.run(timezone.now()) == []  # one waiting job, one device: it is on its way
    preemption.give_way(lease_of(running), Ran(gpu_ms=700, steps=3), wish, yield_ms=5)
    assert claim(worker).job_id == paid.pk


def test_nobody_is_asked_while_the_wait_is_within_the_bound_or_a_slot_is_idle(free):
    worker = idle_worker()
    long_clip(free)
    claim(worker)
    paid = waits(submit(tenant("plus")), 15)
    assert preemption.run(timezone.now()) == []
    override("preempt_after_s", 10)
    spare = idle_worker()
    assert preemption.run(timezone.now()) == []
    Worker.objects.filter(pk=spare.pk).update(desired="drain")  # it will take nothing
    assert len(preemption.run(timezone.now())) == 1
    assert Job.objects.get(pk=paid.pk).state == "queued"


def test_a_free_job_that_waits_and_a_paid_one_at_its_burst_cap_interrupt_nobody(free):
    long_clip(free)
    claim(idle_worker())
    waits(submit(tenant("free", credit=10**9)), 500)
    assert preemption.run(timezone.now()) == []
    plus = tenant("plus")
    Lane.objects.filter(pk="clips-plus").update(max_running=1)
    submit(plus)
    assert claim(idle_worker()).lane_id == "clips-plus"
    waits(submit(plus), 500)
    assert preemption.run(timezone.now()) == []


def test_a_clip_that_is_nearly_done_is_waited_for(free):
    worker = idle_worker()
    job = long_clip(free)
    attempt = claim(worker)
    Attempt.objects.filter(pk=attempt.pk).update(
        started_at=timezone.now() - timedelta(seconds=29), step=job.steps - 1
    )
    waits(submit(tenant("plus")), 25)
    assert preemption.run(timezone.now()) == []
    Attempt.objects.filter(pk=attempt.pk).update(step=10)
    assert preemption.run(timezone.now()) == [attempt.pk]


def test_no_job_is_asked_more_often_than_the_setting_and_the_database_counts(free):
    worker, plus = idle_worker(), tenant("plus")
    job = long_clip(free)
    for _ in range(2):
        attempt = claim(worker)
        assert attempt.job_id == job.pk
        paid = waits(submit(plus), 25)
        assert preemption.run(timezone.now()) == [attempt.pk]
        preemption.give_way(lease_of(attempt), Ran(), "a paid job waits", yield_ms=1)
        Job.objects.filter(pk=paid.pk).update(
            state="cancelled", state_cause="test", finished_at=timezone.now(), charge_micro=0
        )
    last = claim(worker)
    waits(submit(plus), 25)
    assert preemption.run(timezone.now()) == []
    assert not preemption.request(last.pk, "asked past the policy", most=2)
    assert preemption.request(last.pk, "an operator may", most=3)


def test_zero_switches_it_off_and_the_code_pool_begins_so(free):
    assert PoolSettings.objects.get(pk="code").most_preemptions == 0
    long_clip(free)
    claim(idle_worker())
    waits(submit(tenant("plus")), 500)
    override("most_preemptions", 0)
    assert preemption.run(timezone.now()) == []


def test_a_round_is_a_bounded_number_of_queries(free, django_assert_max_num_queries):
    long_clip(free)
    claim(idle_worker())
    for _ in range(3):
        waits(submit(tenant("plus")), 25)
    with django_assert_max_num_queries(16):
        preemption.run(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM generation_attempt WHERE preempt_requested_at IS NOT NULL")
        assert cursor.fetchone() == (1,)

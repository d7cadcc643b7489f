"""Ended work has no open hold, open work keeps its hold, a late clip earns its credit, and what ran out ends."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import OperationalEvent
from billing import settlement
from billing.models import Hold, SlaCredit, SlaTarget
from billing.reconciliation import reconcile
from generation import late_clips, money_upkeep
from generation.models import Job, JobEvent
from tests.generation.api_stage import tenant
from tests.generation.queueing import submit

pytestmark = pytest.mark.django_db


def behind_the_triggers(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_an_ended_job_with_an_open_hold_is_settled_and_reported():
    job = submit(tenant("plus"))
    behind_the_triggers(
        "UPDATE generation_job SET state = 'failed', state_at = clock_timestamp() - interval '30 seconds'"
    )
    assert money_upkeep.settle_late() == 0
    behind_the_triggers("UPDATE generation_job SET state_at = clock_timestamp() - interval '61 seconds'")
    assert money_upkeep.settle_late() == 1
    assert money_upkeep.settle_late() == 0
    hold = Hold.objects.get()
    assert (hold.state, hold.captured, hold.usage_event.reason_code) == ("released", 0, "settled_late:failed")
    event = OperationalEvent.objects.get(kind="billing.hold_unresolved")
    assert (event.severity, event.subject) == ("critical", f"job:{job.pk}")
    assert reconcile().drift == ()


def test_open_work_renews_its_hold_and_what_nobody_renews_ends_by_the_clock():
    kept, orphan = submit(tenant("plus")), submit(tenant("pro"))
    behind_the_triggers("UPDATE billing_hold SET expires_at = now() - interval '1 second'")
    behind_the_triggers(f"UPDATE generation_job SET state = 'failed' WHERE id = '{orphan.pk}'")
    assert money_upkeep.renew_open() == 1
    money_upkeep.hold_expiry.expire()
    assert Hold.objects.get(pk=kept.hold_id).state == "open"
    assert Hold.objects.filter(pk=kept.hold_id, expires_at__gt=Now() + timedelta(days=6)).exists()
    assert Hold.objects.get(pk=orphan.hold_id).state == "expired"
    assert OperationalEvent.objects.filter(kind="billing.hold_expired").count() == 1
    assert reconcile().drift == ()


def settled(job: Job, took: timedelta):
    charge = settlement.settle(
        job.hold_id,
        outcome="delivered",
        units_micro=job.units_micro,
        quantity=job.steps,
        subject=str(job.pk),
        reason_code="delivered",
        at=timezone.now(),
    )
    job.finished_at = job.queued_at + took
    return charge


def test_a_clip_that_is_late_for_its_row_earns_its_credit():
    row = SlaTarget.objects.create(
        tier_id="plus",
        model="pocket-video",
        max_seconds=60,
        target_s=10,
        credit_micro=20_000_000,
        effective_from=timezone.now() - timedelta(days=1),
        author="test",
        reason="test",
    )
    job = submit(tenant("plus"))
    charge = settled(job, timedelta(seconds=11))
    credit = late_clips.credit(job, charge)
    assert (credit.target, credit.took_ms, credit.amount) == (row, 11_000, 20_000_000)
    assert late_clips.credit(job, charge) is None
    assert SlaCredit.objects.count() == 1


def test_a_clip_in_time_earns_nothing_nor_does_a_free_one():
    for tier in ("plus", "free"):
        job = submit(tenant(tier))
        took = timedelta(seconds=119 if tier == "plus" else 3600)
        assert late_clips.credit(job, settled(job, took)) is None


def test_the_clock_stands_still_while_a_person_decides():
    job = submit(tenant("plus"))
    began = job.queued_at
    behind_the_triggers("DELETE FROM generation_jobevent")
    way = (("running", 1), ("finishing", 5), ("review", 6), ("delivered", 3606))
    JobEvent.objects.bulk_create(
        JobEvent(job=job, to_state=state, at=began + timedelta(seconds=at), cause="test", fence=0)
        for state, at in way
    )
    job.finished_at = began + timedelta(seconds=3606)
    assert late_clips.time_in_system(job) == timedelta(seconds=6)

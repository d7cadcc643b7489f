"""What the database refuses whoever writes: raw SQL, past every line of Python."""

import pytest
from django.db import DatabaseError, connection, transaction

from generation.models import Job, JobEvent, LaneOrganization, State
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit

pytestmark = pytest.mark.django_db


def refused(sql: str, *values, match: str) -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.fixture
def job():
    return submit(tenant("plus"))


def test_every_change_of_state_leaves_an_event_with_its_cause(job):
    claim(idle_worker())
    events = JobEvent.objects.filter(job=job).order_by("id")
    assert list(events.values_list("from_state", "to_state")) == [("", "queued"), ("queued", "running")]
    assert all(event.cause for event in events)


@pytest.mark.parametrize("state", ["finishing", "delivered", "held", "review", "withdrawn", "blocked"])
def test_a_waiting_job_goes_nowhere_but_where_the_table_says(job, state):
    refused("UPDATE generation_job SET state = %s WHERE id = %s", state, job.pk, match="does not go to")


def test_a_job_that_has_ended_stays_so(job):
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED, state_cause="test")
    refused("UPDATE generation_job SET state = 'queued' WHERE id = %s", job.pk, match="does not go to")


def test_a_change_of_state_without_a_cause_is_refused(job):
    sql = "UPDATE generation_job SET state = 'running', state_cause = ' ' WHERE id = %s"
    refused(sql, job.pk, match="needs its cause")


def test_no_clip_is_delivered_without_scan_and_credentials(job):
    claim(idle_worker())
    done = "UPDATE generation_job SET state = 'finishing', state_cause = 'x', steps_run = 50 WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute(done, [job.pk])
    deliver = "UPDATE generation_job SET state = 'delivered', state_cause = 'x' WHERE id = %s"
    refused(deliver, job.pk, match="scan, digest and Trusted credentials")


def test_no_clip_is_delivered_with_fewer_steps_than_it_was_quoted(job):
    claim(idle_worker())
    sql = "UPDATE generation_job SET state = 'finishing', state_cause = 'x', steps_run = 49 WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute(sql, [job.pk])
    deliver = "UPDATE generation_job SET state = 'delivered', state_cause = 'x' WHERE id = %s"
    refused(deliver, job.pk, match="49 of 50 steps")
    refused("UPDATE generation_job SET steps = 49 WHERE id = %s", job.pk, match="cannot change")


@pytest.mark.parametrize(
    "change",
    ["quote_micro = quote_micro + 1", "prompt = 'another'", "units_micro = 1", "spec_hash = 'x'"],
)
def test_what_was_asked_and_quoted_is_fixed(job, change):
    refused(f"UPDATE generation_job SET {change} WHERE id = %s", job.pk, match="cannot change")


def test_a_charge_over_the_quote_is_refused(job):
    sql = "UPDATE generation_job SET charge_micro = quote_micro + 1 WHERE id = %s"
    refused(sql, job.pk, match="job_charge_within_quote")


def test_events_are_append_only(job):
    refused("UPDATE generation_jobevent SET cause = 'another' WHERE job_id = %s", job.pk, match="append-only")
    refused("DELETE FROM generation_jobevent WHERE job_id = %s", job.pk, match="append-only")


def test_a_job_without_a_hold_can_not_exist(job):
    refused(
        "UPDATE generation_job SET hold_id = NULL WHERE id = %s", job.pk, match="cannot change|null value"
    )


def test_two_live_attempts_of_one_job_are_refused(job):
    attempt = claim(idle_worker())
    columns = (
        "job_id, worker_id, lane_id, organization_id, lease_seconds, lease_expires_at, started_at, outcome, "
    )
    columns += "detail, step, stage, resumed_from_step, checkpoints, preview, device, threads, stages, "
    columns += "refused_checkpoints, charged_gpu_ms, charged_weight, gpu_ms, corrected"
    sql = f"INSERT INTO generation_attempt (fence, {columns}) SELECT fence + 1, {columns} FROM generation_attempt"
    refused(f"{sql} WHERE id = %s", attempt.pk, match="one_live_attempt_per_job")


def test_the_waiting_counts_follow_the_states(job):
    place = LaneOrganization.objects.get(organization=job.organization)
    assert (place.waiting, place.running) == (1, 0)
    claim(idle_worker())
    place.refresh_from_db()
    assert (place.waiting, place.running) == (0, 1)
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED, state_cause="test")
    place.refresh_from_db()
    assert (place.waiting, place.running) == (0, 0)

"""A worker that was stopped for 90 seconds and wakes up can write nothing: through no door, and not by plain SQL."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from accounts.models import OutboxEvent
from billing.models import Hold, UsageEvent
from generation import finalization, upkeep
from generation.finalization import Ran, SignedFile
from generation.models import Asset, Attempt, Job, JobEvent, Lane, LaneOrganization, State, TokenSegment
from generation.scheduling import preemption
from generation.scheduling.leases import Lease, LeaseLost, lease_of
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit, submit_code, submit_many

pytestmark = pytest.mark.django_db

FILE = SignedFile("clips/stale.mp4", "video/mp4", 1, "0" * 64)
RAN = Ran(gpu_ms=5, steps=50)
# Every function that takes a lease and writes.
WRITES: dict[str, Callable[[Lease], object]] = {
    "renew": lambda lease: lease.renew(step=30, stage="denoising", checkpoints=3),
    "begin_finishing": lambda lease: finalization.begin_finishing(lease, RAN),
    "deliver_clip": lambda lease: finalization.deliver_clip(lease, FILE, RAN),
    "deliver_code": lambda lease: finalization.deliver_code(lease, RAN, "stop"),
    "cancel_running": lambda lease: finalization.cancel_running(lease, RAN),
    "block": lambda lease: finalization.block(lease, RAN, "stale", "violence"),
    "send_to_review": lambda lease: finalization.send_to_review(lease, RAN, "stale"),
    "hold_for_signing": lambda lease: finalization.hold_for_signing(lease, RAN, "stale"),
    "fail": lambda lease: finalization.fail(lease, RAN, "internal_error", "stale"),
    "hand_back": lambda lease: finalization.hand_back(lease, RAN, "stale"),
    "attempt_failed": lambda lease: finalization.attempt_failed(lease, RAN, "stale"),
    "give_way": lambda lease: preemption.give_way(lease, RAN, "stale", 5),
}


def sleep_90_s(attempt: Attempt) -> None:
    """Ninety seconds pass for this attempt; no clock of Python's has a say."""
    gone = timedelta(seconds=90)
    Attempt.objects.filter(pk=attempt.pk).update(lease_expires_at=Now() - gone + timedelta(seconds=30))


def everything() -> list:
    """All that an attempt could have written."""
    tables = (Job, Attempt, JobEvent, Asset, TokenSegment, Hold, UsageEvent, OutboxEvent, LaneOrganization)
    return [list(table.objects.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("found", ["asleep", "reaped", "claimed again"])
def test_no_door_lets_a_woken_worker_write(found):
    submit(tenant("plus"))
    attempt = claim(idle_worker())
    sleep_90_s(attempt)
    if found != "asleep":
        assert upkeep.reap() == 1
    if found == "claimed again":
        assert claim(idle_worker()).job == attempt.job
    before = everything()
    for name, write in WRITES.items():
        with pytest.raises(LeaseLost):
            write(lease_of(attempt))
        assert everything() == before, name


def refused(sql: str, *values, match: str) -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.fixture
def woken():
    """An attempt at an answer in code that another worker goes on with."""
    submit_code(tenant("plus"))
    attempt = claim(idle_worker("code"))
    sleep_90_s(attempt)
    upkeep.reap()
    assert claim(idle_worker("code")).fence > attempt.fence
    return attempt


def test_plain_sql_under_an_old_fence_is_refused(woken):
    refused(
        "INSERT INTO generation_asset (job_id, fence, role, path, media_type, bytes, digest, created_at)"
        " VALUES (%s, %s, 'video', 'stale.mp4', 'video/mp4', 1, 'x', now())",
        woken.job_id,
        woken.fence,
        match="not the one in force",
    )
    columns = "job_id, seq, fence, text, ids, at"
    segment = f"INSERT INTO generation_tokensegment ({columns}) VALUES (%s, 1, %s, 'x', '{{1}}', now())"
    refused(segment, woken.job_id, woken.fence, match="not the one in force")
    refused(
        "UPDATE generation_job SET fence = %s WHERE id = %s", woken.fence, woken.job_id, match="only rises"
    )
    for change in (
        "step = step + 1",
        "lease_expires_at = now() + interval '1 hour'",
        "ended_at = NULL, outcome = ''",
    ):
        refused(f"UPDATE generation_attempt SET {change} WHERE id = %s", woken.pk, match="has ended")
    refused("UPDATE generation_attempt SET fence = fence + 9 WHERE id = %s", woken.pk, match="fixed")
    with connection.cursor() as cursor:
        cursor.execute(segment, [woken.job_id, Job.objects.get().fence])
    assert TokenSegment.objects.count() == 1


def test_a_lease_that_ran_out_is_not_renewed_by_plain_sql_even_before_the_reaper():
    submit(tenant("plus"))
    attempt = claim(idle_worker())
    sleep_90_s(attempt)
    sql = "UPDATE generation_attempt SET lease_expires_at = now() + interval '1 minute' WHERE id = %s"
    refused(sql, attempt.pk, match="ran out")


def test_a_poison_job_leaves_its_lane_as_if_it_had_never_been():
    plus = tenant("plus")
    poison, other = submit_many(plus, 2)
    worker = idle_worker()
    for _ in range(3):
        attempt = claim(worker)
        assert attempt.job == poison
        sleep_90_s(attempt)
        assert upkeep.reap() == 1
    poison.refresh_from_db()
    assert (poison.state, poison.error_code, poison.charge_micro) == (State.FAILED, "internal_error", 0)
    assert Hold.objects.get(pk=poison.hold_id).state != Hold.State.OPEN
    place = LaneOrganization.objects.get(organization=plus.organization)
    assert (place.waiting, place.running, place.running_units_micro, place.at_cap) == (1, 0, 0, False)
    following = claim(worker)
    assert following.job == other
    place.refresh_from_db()
    # It is charged for nothing of what did not run: only the next job's estimate stands.
    assert Lane.objects.get(pk="clips-plus").tag == pytest.approx(following.charged_gpu_ms / 2.0)
    assert place.tag == pytest.approx(following.charged_gpu_ms)


def test_three_tickets_for_one_job_start_it_once_and_a_late_one_starts_nothing():
    submit(tenant("plus"))
    attempts = [claim(idle_worker()) for _ in range(3)]
    assert [attempt is not None for attempt in attempts] == [True, False, False]
    assert Attempt.objects.count() == 1
    finalization.cancel_running(lease_of(attempts[0]), Ran())
    assert claim(idle_worker()) is None

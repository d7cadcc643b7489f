"""What the beat puts right: leases that ran out, tickets that were lost, jobs that waited for a person too long."""

import logging
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef
from django.db.models.functions import Now

from generation.afterwards import review_delivery
from generation.credentials import held
from generation.finalization import ChangedMeanwhile, Ran, failed_or_requeued, give_up
from generation.fleet import worker_actions
from generation.inputs import input_images, screening
from generation.models import Attempt, Job, State, Worker
from generation.retention import expiry
from generation.revisions import rollout
from generation.scheduling import tickets

logger = logging.getLogger(__name__)

MOST_TICKETS = 8
REVIEW_PATIENCE = review_delivery.PATIENCE
SIGNING_PATIENCE = timedelta(minutes=15)

EXPIRED = """
SELECT id FROM generation_attempt WHERE ended_at IS NULL AND lease_expires_at <= clock_timestamp()
 ORDER BY lease_expires_at LIMIT %s
"""


def reap(limit: int = 100) -> int:
    """Return every job whose lease ran out to the head of its lane; the number that were returned."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [limit])
        expired = [row[0] for row in cursor.fetchall()]
    return sum(_reap_one(attempt_id) for attempt_id in expired)


def _reap_one(attempt_id: int) -> bool:
    with transaction.atomic():
        attempt = (
            Attempt.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("job", "job__lane")
            .extra(where=["lease_expires_at <= clock_timestamp()"])
            .filter(pk=attempt_id, ended_at=None)
            .first()
        )
        if attempt is None:
            return False
        detail = f"the worker went silent at step {attempt.step}"
        ran = Ran(gpu_ms=_device_ms(attempt))
        failed_or_requeued(attempt, attempt.job, ran, detail, Attempt.Outcome.LOST)
    logger.warning("lease ran out", extra={"job": str(attempt.job_id), "fence": attempt.fence})
    return True


def _device_ms(attempt: Attempt) -> int:
    """How long a lost attempt had the device. One that was finishing has said so itself when it left it.

    Of another it is not known to the millisecond: the lane pays up to its last renewal.
    """
    if attempt.job.state == State.FINISHING and attempt.gpu_ms:
        return attempt.gpu_ms
    last_renewal = attempt.lease_expires_at - timedelta(seconds=attempt.lease_seconds)
    return max(0, int((last_renewal - attempt.started_at).total_seconds() * 1000))


def top_up_tickets() -> dict[str, int]:
    """Send as many tickets as could be missing: one per waiting or orphaned job, at most a few per pool."""
    live = Attempt.objects.filter(job=OuterRef("pk"), ended_at=None)
    waiting = (
        Job.objects.filter(~Exists(live), state__in=(State.QUEUED, State.FINISHING))
        .values("lane__pool")
        .annotate(jobs=Count("id"))
    )
    sent = {}
    for row in waiting:
        count = min(row["jobs"], MOST_TICKETS)
        sent[row["lane__pool"]] = sum(tickets.send(row["lane__pool"]) for _ in range(count))
    return sent


def expire_reviews() -> int:
    """A clip that nobody decided on within a day is blocked, and its hold released."""
    return review_delivery.expire()


def expire_held() -> int:
    """A clip that could not be signed within 15 minutes fails; nothing unsigned leaves, nothing is charged."""
    overdue = Job.objects.filter(state=State.HELD, state_at__lt=Now() - SIGNING_PATIENCE)
    return sum(
        _expire(job, State.FAILED, "internal_error", "it could not be signed in time") for job in overdue
    )


def _expire(job: Job, state: str, code: str, why: str) -> bool:
    try:
        give_up(job, state, code, why)
    except ChangedMeanwhile:
        return False
    return True


def forget_silent_workers(after: timedelta = timedelta(minutes=2)) -> int:
    """Close the rows of workers that stopped without a word, so that pages and readiness count the living."""
    silent = Worker.objects.filter(stopped_at=None, seen_at__lt=Now() - after)
    return silent.update(stopped_at=Now())


def run() -> None:
    """One round of everything; the signer last, since it is the one that may fail."""
    reap()
    top_up_tickets()
    forget_silent_workers()
    worker_actions.expire_states()
    rollout.end_quarantined_jobs()
    screening.end_overdue()
    input_images.purge_ended()
    expire_reviews()
    expire_held()
    expiry.run()
    held.clear_leftovers()
    held.drain()

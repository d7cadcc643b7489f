"""Cancelling at every stage: at once while a job waits, at the next step while it runs."""

from django.db.models.functions import Now

from accounts.errors import ApiError
from generation import finalization, streams
from generation.finalization import ChangedMeanwhile
from generation.models import Job, State

CLOSING = "This job is already being checked and signed; it can't be cancelled any more."


def cancel(job: Job, reason: str) -> Job:
    """Stop a job of the caller's. A waiting one ends now and costs nothing; a running one ends after its step.

    Returns the job as it stands afterwards. One that has ended already stays as it is. Raises `ApiError` not_ready
    where the steps are paid for and the clip is on its way out.
    """
    for _ in range(3):
        job.refresh_from_db()
        if not job.is_open:
            return job
        if job.state == State.RUNNING:
            return _ask_worker(job)
        if job.state not in (State.QUEUED, State.SCREENING):
            raise ApiError("not_ready", CLOSING)
        try:
            return _cancel_waiting(job, reason)
        except ChangedMeanwhile:
            continue  # claimed in this moment: look again
    raise ApiError("server_is_overloaded", "The job keeps changing hands. Try again.", retry_after_s=1)


def _cancel_waiting(job: Job, reason: str) -> Job:
    ended = finalization.cancel_waiting(job, reason)
    streams.announce(job.pk, "state", {"state": ended.state})
    return ended


def _ask_worker(job: Job) -> Job:
    """Leave a note that the worker reads at its next step; what ran until then is charged."""
    Job.objects.filter(pk=job.pk, cancel_requested_at=None).update(cancel_requested_at=Now())
    job.refresh_from_db()
    return job

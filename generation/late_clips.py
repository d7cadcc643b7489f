"""A clip that was delivered later than its target row promises earns its credit in the transaction that delivers it."""

from datetime import timedelta

from billing import service_levels
from billing.models import Charge, SlaCredit
from generation.models import Job, JobEvent, State

SYNTHETIC = "synthetic"  # the source of jobs that Backlot makes itself, to see that all works; nobody is promised them
CUSTOMERS = f"j.source <> '{SYNTHETIC}'"  # SQL over a job `j`: everybody else's


def credit(job: Job, charge: Charge) -> SlaCredit | None:
    """Post the credit of a delivered clip that is late, under the wallet's lock that its settlement took. None where it
    is in time, or a clip of Backlot's own."""
    if job.source == SYNTHETIC:
        return None
    seconds = float(job.spec["seconds"])
    target = service_levels.target_for(job.lane.tier_id, job.model.name, seconds, job.queued_at)
    if target is None:
        return None
    return service_levels.credit_breach(charge.usage_event_id, target, time_in_system(job), job.finished_at)


def time_in_system(job: Job) -> timedelta:
    """From the first enqueue to delivery, retries included; the clock stands still while a person decides."""
    changes = JobEvent.objects.filter(job=job).order_by("at", "pk").values_list("to_state", "at")
    reviewed, since = timedelta(), None
    for state, at in changes:
        if since is not None:
            reviewed += at - since
        since = at if state == State.REVIEW else None
    return job.finished_at - job.queued_at - reviewed

"""Holds stay honest: open work renews its hold, ended work has none, and what nobody settled ends by the clock."""

from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from accounts import operations
from billing import hold_expiry, invoices, settlement
from billing.models import Hold
from generation.models import OPEN_STATES, Job

RESOLVED_WITHIN = timedelta(seconds=60)
MOST_AT_ONCE = 200


def run() -> None:
    """One round."""
    settle_late()
    renew_open()
    hold_expiry.expire()
    invoices.issue_due(timezone.now())


def settle_late() -> int:
    """Ended jobs whose hold is open a minute later: an alarm, and the hold is released without a charge; how many.

    It can't happen through finalization, which does both in one transaction; so whatever it was, it isn't charged.
    """
    ended = Job.objects.exclude(state__in=OPEN_STATES).filter(
        hold__state=Hold.State.OPEN, state_at__lt=Now() - RESOLVED_WITHIN
    )
    late = list(ended.values_list("pk", "hold_id", "state")[:MOST_AT_ONCE])
    for job_id, hold_id, state in late:
        settlement.settle(
            hold_id,
            outcome="failed",
            units_micro=0,
            quantity=0,
            subject=str(job_id),
            reason_code=f"settled_late:{state}",
            at=timezone.now(),
        )
        operations.report("billing.hold_unresolved", "critical", f"job:{job_id}", {"state": state})
    return len(late)


def renew_open() -> int:
    """Renew the holds of open jobs that end soon; how many."""
    ending = hold_expiry.ending(MOST_AT_ONCE)
    still_open = Job.objects.filter(pk__in=ending, state__in=OPEN_STATES).values_list("pk", flat=True)
    return hold_expiry.renew([str(pk) for pk in still_open]) if ending else 0

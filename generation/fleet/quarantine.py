"""A worker that makes NaN of prompts that others make clips of takes no more jobs, until an operator lets it."""

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import operations
from accounts.models import OperationalEvent
from generation import dispatch
from generation.fleet.worker_actions import set_state
from generation.models import Worker
from generation.policy.not_finite import BlowUp, Terms, speaks_against

logger = logging.getLogger(__name__)

BY = "nan guard"


def terms() -> Terms:
    """From the settings NAN_QUARANTINE_ATTEMPTS, NAN_QUARANTINE_PROMPTS and NAN_QUARANTINE_MINUTES."""
    return Terms(
        attempts=settings.NAN_QUARANTINE_ATTEMPTS,
        prompts=settings.NAN_QUARANTINE_PROMPTS,
        window=timedelta(minutes=settings.NAN_QUARANTINE_MINUTES),
    )


def consider(worker_id: UUID) -> bool:
    """Look at what the worker has done lately; whether it was quarantined now.

    Blow-ups from before its wanted state was last set don't count: an operator has looked at those. They are told
    apart by worker rows, so a process that was started anew is judged anew too.
    """
    with transaction.atomic():
        worker = Worker.objects.select_for_update(no_key=True).get(pk=worker_id)
        if worker.desired == Worker.Desired.QUARANTINE:
            return False
        rules, now = terms(), dispatch.clock()
        blamed = speaks_against(str(worker.pk), _seen(now - rules.window), rules, now, worker.desired_at)
        if not blamed:
            return False
        prompts = {one.prompt for one in blamed}
        reason = f"{len(blamed)} clips over {len(prompts)} prompts were not finite within {rules.window}"
        set_state(worker, Worker.Desired.QUARANTINE, BY, reason)
        detail = {"attempts": len(blamed), "prompts_sha256": sorted(prompts), "device": worker.device}
        operations.report("worker.quarantined", "error", f"worker:{worker.pk}", detail)
    logger.error("worker quarantined", extra={"worker": str(worker.pk), "reason": reason})
    return True


def _seen(since) -> list[BlowUp]:
    """The fleet's blow-ups since then: the events that the guard wrote."""
    events = OperationalEvent.objects.filter(kind="clip.not_finite", at__gte=since)
    return [
        BlowUp(detail["worker"], detail["prompt_sha256"], at)
        for detail, at in events.order_by("-at").values_list("detail", "at")[:1000]
    ]

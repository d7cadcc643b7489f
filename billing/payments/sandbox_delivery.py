"""The sandbox's webhooks: due events, signed, to the same handler that takes Stripe's, without the way over HTTP."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts.errors import ApiError
from billing.models import SandboxEvent
from billing.payments import sandbox_checkout, signing, webhooks
from billing.payments.provider import SANDBOX, active_name

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=1)


def deliver(now: datetime, limit: int = 100) -> int:
    """Deliver what is due, oldest first; how many were taken. Does nothing where the sandbox is not in use."""
    if active_name() != SANDBOX:
        return 0
    sandbox_checkout.expire(limit, now)
    due = SandboxEvent.objects.filter(delivered_at__isnull=True, due_at__lte=now)
    return sum(_deliver(pk, now) for pk in due.order_by("due_at", "pk").values_list("pk", flat=True)[:limit])


@transaction.atomic
def _deliver(event_id: str, now: datetime) -> bool:
    """One event. It is marked in the transaction of its effects; one that is not taken comes again later."""
    waiting = SandboxEvent.objects.select_for_update(skip_locked=True)
    event = waiting.filter(pk=event_id, delivered_at__isnull=True).first()
    if event is None:
        return False
    event.attempts += 1
    signature = signing.signed(event.body, settings.SANDBOX_WEBHOOK_SECRET)
    try:
        with transaction.atomic():
            webhooks.receive(SANDBOX, event.body.encode(), signature, now)
        event.delivered_at = now
    except ApiError as refused:
        logger.warning("sandbox event %s was not taken: %s", event.pk, refused)
        event.due_at = now + min(FIRST_WAIT * 2 ** min(event.attempts, 12), LONGEST_WAIT)
    event.save(update_fields=["attempts", "due_at", "delivered_at"])
    return event.delivered_at is not None

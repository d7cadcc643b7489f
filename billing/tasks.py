"""Celery's entries; each makes one call. Nothing here is needed for a payment that goes well."""

import threading

from celery import shared_task
from django.utils import timezone

_minding = threading.Lock()


@shared_task
def mind_payments() -> None:
    """Every few seconds: top-ups that are due, payments that nobody told about, the sandbox's own webhooks.

    The provider may be slow: one round at a time, so that it never takes all of upkeep's threads.
    """
    from billing.payments import sandbox_delivery, sweep, top_up

    if not _minding.acquire(blocking=False):
        return
    try:
        now = timezone.now()
        sandbox_delivery.deliver(now)
        top_up.top_up_low(now)
        sweep.run(now)
    finally:
        _minding.release()


@shared_task
def mail_notices() -> None:
    """Every few seconds: notices by mail. A mail server may be slow, and only this waits for it."""
    from billing import notice_mail

    notice_mail.send_due()


@shared_task
def reconcile_nightly() -> None:
    """Every night: all money recomputed from its records; drift is an alarm."""
    from billing import reconciliation

    reconciliation.watch()

"""What safety does by the clock."""

import logging

from celery import shared_task
from django.utils import timezone

from safety import provenance

log = logging.getLogger(__name__)


@shared_task
def watch_signing_certificate() -> None:
    """Daily: an operational event where the signing certificate lives less than 30 days more."""
    left = provenance.check_expiry(timezone.now())
    log.info("the signing certificate lives on", extra={"days": left.days})

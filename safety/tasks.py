"""What safety does by the clock."""

import logging

from celery import shared_task
from django.utils import timezone

from safety import provenance, signer_keys

log = logging.getLogger(__name__)


@shared_task
def watch_signing_certificate() -> None:
    """Daily: an event where the certificate in force expires soon; keys that were rotated out are retired."""
    signer_keys.retire_old(timezone.now())
    left = provenance.check_expiry(timezone.now())
    log.info("the signing certificate lives on", extra={"days": left.days})

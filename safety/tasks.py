"""What safety does by the clock."""

import logging

from celery import shared_task
from django.utils import timezone

from safety.credentials import provenance, signer_keys

log = logging.getLogger(__name__)


@shared_task
def watch_signing_certificate() -> None:
    """Daily: an event where the certificate in force expires soon; keys that were rotated out are retired."""
    signer_keys.retire_old(timezone.now())
    left = provenance.check_expiry(timezone.now())
    log.info("the signing certificate lives on", extra={"days": left.days})


@shared_task
def show_golden_pictures() -> None:
    """Where gates run: they are shown the golden pictures again when one of them or a picture is new."""
    from safety.golden import frames as golden_frames

    if golden_frames.stale(timezone.now()):
        looked = golden_frames.look()
        log.info("the gates were shown the golden pictures", extra={"pictures": looked.pictures})


@shared_task
def read_golden_prompts() -> None:
    """Every minute, a few at a time: golden prompts go through the text filter once a day, for previews."""
    from safety.golden import texts as golden_texts

    golden_texts.read(timezone.now())

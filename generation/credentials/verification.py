"""Every stored file is read again, on and on, those looked at longest ago first: do its credentials still hold?

A file that is missing, was changed or no longer reads as Trusted goes into quarantine, where nobody can have it, and
on-call staff are told once. It comes back by itself when it verifies again, as after a restored disk.
"""

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.db.models.functions import Now

from accounts import operations
from generation.afterwards import cdn
from generation.models import Asset, State
from safety.credentials import provenance, signer_keys, verifying

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 50
MOST_SECONDS = 1.5  # of one round, every ten: upkeep has other things to put right
MISSING, CHANGED = "Missing", "Changed"


@dataclass(frozen=True)
class Round:
    """What one round did: files read, and how many of them went into quarantine or came back."""

    checked: int = 0
    quarantined: int = 0
    restored: int = 0


def run(limit: int = MOST_AT_ONCE, seconds: float = MOST_SECONDS) -> Round:
    """Read the files whose last verification is oldest. Does nothing where this machine has no anchors to verify by."""
    if not able():
        operations.report(
            "verification.impossible", "error", "signer:anchors", {"why": "no anchor of this installation"}
        )
        return Round()
    until = time.monotonic() + seconds
    checked = quarantined = restored = 0
    for asset in _oldest(limit):
        state, reason = read(asset)
        change = _note(asset, state, reason)
        checked, quarantined, restored = checked + 1, quarantined + (change < 0), restored + (change > 0)
        if time.monotonic() > until:
            break
    return Round(checked, quarantined, restored)


def able() -> bool:
    """Whether there is anything to verify by: without an anchor every file would look like a stranger's."""
    try:
        signer_keys.keep_anchors(Path(settings.SIGNING_ROOT))
    except OSError as problem:
        logger.warning("anchors can't be written", extra={"error": str(problem)})
    return bool(verifying.installed_anchors().signers)


def read(asset: Asset) -> tuple[str, str]:
    """How a stored file reads: Trusted, or Missing, Changed or the state of its credentials, with the reason."""
    try:
        with default_storage.open(asset.path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return MISSING, "the file is not in storage"
    if hashlib.sha256(content).hexdigest() != asset.digest:
        return CHANGED, "its bytes are not the ones that were signed"
    verification = provenance.verify_bytes(content, decode=False)
    return verification.state, verification.reason


def figures() -> dict:
    """For staff: how many files there are, when the newest and the oldest verification was, and how many fail."""
    return _standing().aggregate(
        files=Count("id"),
        unread=Count("id", filter=Q(verified_at=None)),
        newest=Max("verified_at"),
        oldest=Min("verified_at"),
        failing=Count("id", filter=Q(quarantined_at__isnull=False)),
    )


def failing(limit: int = 50) -> list[Asset]:
    """Files in quarantine, newest first, with their jobs."""
    return list(
        _standing()
        .filter(quarantined_at__isnull=False)
        .select_related("job")
        .order_by("-quarantined_at")[:limit]
    )


def _standing() -> QuerySet[Asset]:
    """Files that are (or but for a quarantine would be) delivered."""
    return Asset.objects.filter(removed_at=None, job__state=State.DELIVERED, job__deleted_at=None)


def _oldest(limit: int) -> list[Asset]:
    return list(
        _standing().select_related("job").order_by(F("verified_at").asc(nulls_first=True), "id")[:limit]
    )


def _note(asset: Asset, state: str, reason: str) -> int:
    """Write down how it read: -1 where it goes into quarantine now, 1 where it comes back, else 0."""
    row = Asset.objects.filter(pk=asset.pk, removed_at=None)
    if state == provenance.TRUSTED:
        row.update(verified_at=Now(), verified_state=state)
        if not row.filter(quarantined_at__isnull=False).update(quarantined_at=None):
            return 0
        operations.report("verification.restored", "info", f"asset:{asset.pk}", {"path": asset.path})
        return 1
    row.update(verified_at=Now(), verified_state=state)
    if not row.filter(quarantined_at=None).update(quarantined_at=Now()):
        return 0
    detail = {"path": asset.path, "job": str(asset.job_id), "role": asset.role}
    operations.report(
        "verification.failed",
        "critical",
        f"asset:{asset.pk}",
        detail | {"state": state, "reason": reason[:500]},
    )
    cdn.purge([f"/v1/videos/{asset.job.public_id}/content"])
    return -1

"""The audit of everything delivered: each file in storage verifies as Trusted, and a scan lets it out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.core.files.storage import Storage, default_storage
from django.db import connection

from generation.delivery import CLIPS
from generation.models import Asset, State
from safety.credentials import provenance

# The credentials of a file, the scan they rest on, and whether that scan lets out, by the delivery guard's own words.
LETS_OUT = """
SELECT EXISTS (
  SELECT 1 FROM safety_credential c JOIN safety_scan s ON s.digest = coalesce(c.scanned_digest, c.unsigned_digest)
     AND s.subject = c.subject AND s.fence = c.fence
   WHERE c.signed_digest = %s AND c.state = 'Trusted' AND c.subject = %s AND safety_scan_lets_out(s))
"""


@dataclass(frozen=True)
class Fault:
    """A file that should not be there, or is not as it was delivered."""

    path: str
    reason: str


def audit(storage: Storage = default_storage) -> Iterator[Fault | str]:
    """Every file under clips/ in turn, then every delivered row whose file is missing: its path, or its Fault."""
    seen = set()
    for path in _files(storage, CLIPS):
        seen.add(path)
        reason = _fault(storage, path)
        yield Fault(path, reason) if reason else path
    rows = Asset.objects.filter(removed_at=None, job__state=State.DELIVERED, job__deleted_at=None)
    for path in rows.order_by("pk").values_list("path", flat=True).iterator():
        if path not in seen:
            yield Fault(path, "delivered, but not in storage")


def _fault(storage: Storage, path: str) -> str:
    """Why a file may not be where it is, "" where nothing speaks against it."""
    with storage.open(path, "rb") as file:
        content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    asset = Asset.objects.filter(path=path).first()
    if asset is not None and asset.digest != digest:
        return "its bytes are not the ones that were signed"
    verification = provenance.verify_bytes(content)
    if verification.state != provenance.TRUSTED:
        return f"reads {verification.state}: {verification.reason}"
    job = path.split("/")[1] if path.count("/") >= 2 else ""
    if verification.claims.get("job") != job or not _is_id(job):
        return "its credentials name another job than its folder"
    return "" if _lets_out(digest, job) else "no scan that lets it out stands behind its credentials"


def _lets_out(digest: str, job: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(LETS_OUT, [digest, job])
        return cursor.fetchone()[0]


def _files(storage: Storage, folder: str) -> Iterator[str]:
    if not storage.exists(folder):
        return
    folders, files = storage.listdir(folder)
    yield from (f"{folder}/{name}" for name in sorted(files))
    for name in sorted(folders):
        yield from _files(storage, f"{folder}/{name}")


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False

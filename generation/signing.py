"""Signing a scanned clip and storing what was signed; also later, for clips that waited because signing was down."""

import hashlib
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from generation import finalization, streams
from generation.finalization import ChangedMeanwhile, SignedFile
from generation.models import Job, State
from safety import provenance

logger = logging.getLogger(__name__)


def sign_clip(job: Job, fence: int, unsigned: Path, signed: Path) -> Path:
    """Sign and verify; `signed` holds credentials that read as Trusted. Raises SigningUnavailable."""
    claims = provenance.Claims(
        subject=str(job.pk),
        fence=fence,
        title=job.public_id,
        model=job.model.name,
        revision=job.model.revision,
        steps=job.steps,
    )
    provenance.sign(unsigned, signed, claims)
    return signed


def stored(job: Job, fence: int, signed: Path) -> SignedFile:
    """Put the signed file into storage. The digest is of what the storage gives back, not of what it was given."""
    with signed.open("rb") as file:
        path = default_storage.save(f"clips/{job.pk}/{fence}/clip.mp4", File(file))
    with default_storage.open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SignedFile(path, "video/mp4", default_storage.size(path), digest)


def keep_unsigned(job: Job, fence: int, unsigned: Path) -> None:
    """Put a scanned but unsigned clip aside. No asset row names it, so nothing can deliver it."""
    with unsigned.open("rb") as file:
        default_storage.save(_unsigned_name(job, fence), File(file))


def deliver_held_clips() -> int:
    """Sign and deliver what waited for the signer, oldest first; stops at the first refusal of the signer."""
    delivered = 0
    for job in Job.objects.filter(state=State.HELD).select_related("model").order_by("state_at")[:20]:
        try:
            _deliver_held(job)
        except provenance.SigningUnavailable as problem:
            logger.warning("signing is still unavailable", extra={"error": str(problem)})
            break
        except ChangedMeanwhile:
            continue
        delivered += 1
    return delivered


def _deliver_held(job: Job) -> None:
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.WORK_ROOT) as folder:
        unsigned = Path(folder) / "clip.mp4"
        with default_storage.open(_unsigned_name(job, job.fence), "rb") as file:
            unsigned.write_bytes(file.read())
        signed = sign_clip(job, job.fence, unsigned, Path(folder) / "signed.mp4")
        finalization.deliver_held(job, stored(job, job.fence, signed))
    default_storage.delete(_unsigned_name(job, job.fence))
    streams.announce(job.pk, "state", {"state": State.DELIVERED})


def _unsigned_name(job: Job, fence: int) -> str:
    return f"unsigned/{job.pk}/{fence}/clip.mp4"

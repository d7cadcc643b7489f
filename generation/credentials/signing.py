"""Signing a scanned clip with its pictures, and storing what was signed. Clips that have to wait for it: held.py."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.functions import Now

from generation.credentials import variants
from generation.finalization import SignedFile
from generation.inputs import input_images
from generation.models import Asset, Job, UnsignedClip
from safety.credentials import provenance
from safety.credentials.manifests import VIDEO, Ingredient


@dataclass(frozen=True)
class Signed:
    """A signed file on this machine's disk: what it is, and under which name it is stored."""

    role: str
    path: Path
    name: str
    media_type: str


def sign_all(job: Job, fence: int, unsigned: Path, folder: Path) -> tuple[Signed, ...]:
    """The clip, its thumbnail and its sprite sheet, each with credentials that read as Trusted, the clip first.

    The pictures come from the frames of the scanned file. Raises SigningUnavailable, or NotScanned where it can't be
    the file that was scanned.
    """
    claims = claims_of(job, fence)
    clip = sign_clip(job, fence, unsigned, folder / "signed.mp4")
    scanned = _sha256(unsigned)
    made = [Signed("video", clip, "clip.mp4", VIDEO)]
    for picture in _pictures(job, unsigned):
        path = folder / picture.name
        provenance.sign_picture(picture.content, picture.media_type, path, claims, scanned_sha256=scanned)
        made.append(Signed(picture.role, path, picture.name, picture.media_type))
    return tuple(made)


def _pictures(job: Job, scanned: Path) -> tuple[variants.Picture, ...]:
    try:
        return variants.pictures(scanned, job.spec["fps"] * job.spec["seconds"])
    except variants.NoPictures as problem:
        raise provenance.NotScanned(str(problem)) from problem


def sign_clip(job: Job, fence: int, unsigned: Path, signed: Path) -> Path:
    """Sign and verify; `signed` holds credentials that read as Trusted. Raises SigningUnavailable or NotScanned."""
    provenance.sign(unsigned, signed, claims_of(job, fence))
    return signed


def claims_of(job: Job, fence: int) -> provenance.Claims:
    """What the credentials of a job's files say."""
    return provenance.Claims(
        subject=str(job.pk),
        fence=fence,
        title=job.public_id,
        model=job.model.name,
        revision=job.model.revision,
        steps=job.steps,
        text_policy_version=str(job.screening.get("policy_version", "")),
        ingredient=ingredient_of(job),
    )


def ingredient_of(job: Job) -> Ingredient | None:
    """The picture that the clip was made from, as it was scanned; None where it was made from text alone."""
    found = input_images.ingredient(job)
    return Ingredient(*found) if found else None


def stored(job: Job, fence: int, signed: Path) -> SignedFile:
    """Put a signed clip into storage. The digest is of what the storage gives back, not of what it was given."""
    return _stored(job, fence, Signed("video", signed, "clip.mp4", VIDEO))


def stored_all(job: Job, fence: int, signed: tuple[Signed, ...]) -> tuple[SignedFile, ...]:
    """Put what `sign_all` made into storage, in its order."""
    return tuple(_stored(job, fence, one) for one in signed)


def keep_unsigned(job: Job, fence: int, unsigned: Path) -> UnsignedClip:
    """Put a scanned but unsigned clip aside. No asset row names it, so nothing can deliver it."""
    path = unsigned_name(job, fence)
    values = {"path": path, "digest": _sha256(unsigned), "bytes": unsigned.stat().st_size}
    kept, _ = UnsignedClip.objects.get_or_create(job=job, fence=fence, defaults=values)
    with unsigned.open("rb") as file:
        _save(path, file)
    return kept


def remove_unsigned(job: Job, fence: int) -> None:
    """Its clip was signed, or never will be."""
    default_storage.delete(unsigned_name(job, fence))
    UnsignedClip.objects.filter(job=job, fence=fence, removed_at=None).update(removed_at=Now())


def unsigned_name(job: Job, fence: int) -> str:
    """Where the unsigned file of an attempt lies in storage."""
    return f"unsigned/{job.pk}/{fence}/clip.mp4"


def _stored(job: Job, fence: int, signed: Signed) -> SignedFile:
    path = f"clips/{job.pk}/{fence}/{signed.name}"
    if not Asset.objects.filter(path=path).exists():
        with signed.path.open("rb") as file:
            _save(path, file)
    with default_storage.open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SignedFile(path, signed.media_type, default_storage.size(path), digest, signed.role)


def _save(path: str, file) -> None:
    """Under this very name. What lies there already is what a killed process left: no row names it."""
    default_storage.delete(path)
    default_storage.save(path, File(file))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

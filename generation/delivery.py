"""Who may have a file, and for how long: authorize first, then a link that lives 60 s at most.

Every use of a link looks at the rows again, so that a withdrawal or a deletion is one at once, whatever links are out.
"""

import logging
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from django.core.files.storage import Storage, default_storage
from django.utils import timezone

from accounts import operations
from accounts.errors import ApiError
from generation.models import Asset, Attempt, Job, State

logger = logging.getLogger(__name__)

CLIPS, PREVIEWS, UNSIGNED = "clips", "previews", "unsigned"
ROOTS = (CLIPS, PREVIEWS, UNSIGNED)
# A preview may be seen while its clip is being made and afterwards, never once a person or a gate has said no.
PREVIEW_STATES = (State.QUEUED, State.RUNNING, State.FINISHING, State.HELD, State.DELIVERED, State.CANCELLED)


@dataclass(frozen=True)
class Deliverable:
    """A stored file that may be sent now; `digest` is empty for a preview."""

    path: str
    media_type: str
    digest: str = ""


def clip_link(job: Job, role: str = "video", *, attachment: bool = False) -> str:
    """A URL for the clip's file, its thumbnail or its sprite sheet; raises ApiError as `clip_file` does."""
    asset = clip_file(job, role)
    return default_storage.url(asset.path, parameters=_disposition(job, asset.path, attachment=attachment))


def clip_file(job: Job, role: str = "video") -> Asset:
    """The clip's file, its thumbnail or its sprite sheet, if it may be delivered now.

    Raises ApiError: not_ready, content_withdrawn, content_expired, or not_found where there is none.
    """
    # A repeat's file is the original's: taken back or deleted there, it is here.
    source = job.repeat_of if job.repeat_of_id else job
    if State.WITHDRAWN in (job.state, source.state):
        raise withdrawn(job)
    if job.is_open:
        raise ApiError(
            "not_ready", f"{job.public_id} is {job.state}; its file comes when its status is completed."
        )
    if job.state == State.DELIVERED and job.deleted_at is None and (is_over(job) or is_over(source)):
        raise expired(job)
    asset = None
    if job.state == State.DELIVERED and job.deleted_at is None and source.deleted_at is None:
        asset = Asset.objects.filter(job=source, role=role, removed_at=None).order_by("-fence").first()
        if asset is None and role != "video":
            raise ApiError("not_found", f"{job.public_id} has no {role}: it was made before there were any.")
    if asset is not None and asset.withheld_at is not None:
        raise withheld(job)
    if asset is not None and asset.quarantined_at is not None:
        raise quarantined(job)
    if asset is None:
        ended = "repeats a deleted clip" if job.repeat_of_id else f"ended as {job.error_code or job.state}"
        raise ApiError("not_found", f"{job.public_id} {ended} and has no file.")
    return asset


def preview_link(attempt: Attempt) -> str | None:
    """A URL for the newest preview of an attempt that passed the frame gates, or None while there is none."""
    return default_storage.url(attempt.preview) if attempt.preview else None


def is_over(job: Job) -> bool:
    """Whether the files of a clip were kept as long as was promised, deleted yet or not."""
    return job.expires_at is not None and job.expires_at <= timezone.now()


def expired(job: Job) -> ApiError:
    return ApiError(
        "content_expired",
        f"The files of {job.public_id} were kept until {job.expires_at:%Y-%m-%d %H:%M} UTC and are gone. The record of "
        "the job and its charge stays; a remix with the same words and seed makes the clip again.",
    )


def withdrawn(job: Job) -> ApiError:
    return ApiError(
        "content_withdrawn", f"{job.public_id} was withdrawn from delivery after a safety review."
    )


def withheld(job: Job) -> ApiError:
    message = (
        f"{job.public_id} is being looked at again by people and is not delivered until they have decided."
    )
    return ApiError("not_ready", message)


def quarantined(job: Job) -> ApiError:
    return ApiError(
        "content_withdrawn",
        f"A file of {job.public_id} no longer verifies as we signed it and is not delivered.",
    )


def deliverable(path: str) -> Deliverable:
    """The file behind a live link, by what its rows say now; ApiError not_found, content_withdrawn, content_expired."""
    found = _preview(path) if PurePosixPath(path).parts[:1] == (PREVIEWS,) else _clip(path)
    if found is None:
        raise ApiError("not_found", "This file is no longer delivered.")
    return found


def purge(job: Job, storage: Storage = default_storage) -> None:
    """Delete every file of a job, clip and previews; safe to repeat. One that stays becomes an operational event."""
    for root in ROOTS:
        try:
            _delete_tree(storage, f"{root}/{job.pk}")
        except OSError as error:
            logger.warning("files of %s could not be deleted: %s", job.public_id, error)
            operations.report(
                "media.not_deleted", "error", f"job:{job.pk}", {"error": str(error), "root": root}
            )


def delete_files(job_id: UUID, storage: Storage = default_storage) -> None:
    """As `purge`, but raises OSError where a file stays."""
    for root in ROOTS:
        _delete_tree(storage, f"{root}/{job_id}")


def _clip(path: str) -> Deliverable | None:
    asset = Asset.objects.select_related("job").filter(path=path).first()
    if asset is None:
        return None
    if asset.job.state == State.WITHDRAWN:
        raise withdrawn(asset.job)
    if asset.withheld_at is not None:
        raise withheld(asset.job)
    if asset.quarantined_at:
        raise quarantined(asset.job)
    if is_over(asset.job) and not asset.job.deleted_at:
        raise expired(asset.job)
    if asset.removed_at or asset.job.deleted_at or asset.job.state != State.DELIVERED:
        return None
    return Deliverable(asset.path, asset.media_type, asset.digest)


def _preview(path: str) -> Deliverable | None:
    """A preview belongs to an attempt; those before the newest one passed the gates too, or there'd be no newer one."""
    parts = PurePosixPath(path).parts
    if len(parts) != 4 or not parts[2].isdecimal():
        return None
    attempt = Attempt.objects.select_related("job").filter(fence=int(parts[2])).first()
    newest = PurePosixPath(attempt.preview).parts if attempt else ()
    if not newest or parts[:3] != newest[:3] or parts[3] > newest[3]:
        return None
    if attempt.job.deleted_at or is_over(attempt.job) or attempt.job.state not in PREVIEW_STATES:
        return None
    if Asset.objects.filter(job=attempt.job_id, withheld_at__isnull=False).exists():
        raise withheld(attempt.job)
    return Deliverable(path, "image/webp")


def _disposition(job: Job, path: str, *, attachment: bool) -> dict[str, str]:
    stem = PurePosixPath(path).stem
    name = f"{job.public_id}{'' if stem == 'clip' else '-' + stem}{PurePosixPath(path).suffix}"
    return {"ResponseContentDisposition": f'{"attachment" if attachment else "inline"}; filename="{name}"'}


def _delete_tree(storage: Storage, folder: str) -> None:
    if not storage.exists(folder):
        return
    folders, files = storage.listdir(folder)
    for name in files:
        storage.delete(f"{folder}/{name}")
    for name in folders:
        _delete_tree(storage, f"{folder}/{name}")
    storage.delete(folder)

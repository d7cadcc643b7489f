"""Giving files up: at once for every link, and for good once upkeep has deleted them, whatever was killed on the way.

The rows change in one transaction, with a `FileRemoval` that says what is to be deleted. Files go after the commit;
upkeep repeats that until it is done. The job, its decision, charge and events stay.
"""

import logging
import shutil
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, operations
from accounts.identity import Caller
from accounts.models import OperationalEvent
from generation import delivery
from generation.afterwards import cdn
from generation.models import Asset, Job
from generation.retention.records import FileRemoval

logger = logging.getLogger(__name__)

TELL_AGAIN = timedelta(minutes=10)
ADDRESSES = ("", "?variant=video", "?variant=thumbnail", "?variant=spritesheet")


def delete(job: Job, caller: Caller) -> None:
    """Take an ended job out of its owner's sight and delete its files, previews and checkpoints.

    Raises ApiError not_ready while people look at it: evidence is not deleted by who made it.
    """
    with transaction.atomic():
        if Asset.objects.filter(job=job, withheld_at__isnull=False).exists():
            raise delivery.withheld(job)
        if not Job.objects.filter(pk=job.pk, deleted_at=None).update(deleted_at=Now()):
            return
        give_up(job, FileRemoval.Cause.DELETED)
        audit.record(
            actor=caller.user or f"API key {caller.api_key}",
            action="job.delete",
            target=f"job:{job.pk}",
            reason="deleted by its owner",
            before={"state": job.state},
            after={"deleted": True},
            organization=job.organization,
        )


def give_up(job: Job, cause: str) -> None:
    """In the caller's transaction: no link to the job's files lives on, and they are deleted after the commit."""
    assets = Asset.objects.filter(job=job, removed_at=None)
    files = [
        {"role": one.role, "path": one.path, "sha256": one.digest, "bytes": one.bytes}
        for one in assets.order_by("pk")
    ]
    # A clip whose files went by time may be deleted by its owner afterwards: the first removal stands.
    FileRemoval.objects.bulk_create([FileRemoval(job=job, cause=cause, files=files)], ignore_conflicts=True)
    assets.update(removed_at=Now())
    Job.objects.filter(pk=job.pk, files_removed_at=None).update(files_removed_at=Now())
    content = f"/v1/videos/{job.public_id}/content"
    addresses = [*(file["path"] for file in files), *(content + query for query in ADDRESSES)]
    cdn.purge(addresses, f"removal:{job.pk}")
    transaction.on_commit(lambda: settle(job.pk))


def settle_pending(limit: int = 50) -> int:
    """Delete the files of removals whose process ended too early, or whose storage was away; how many are done."""
    waiting = FileRemoval.objects.filter(done_at=None).order_by("at").values_list("pk", flat=True)
    return sum(settle(pk) for pk in waiting[:limit])


def settle(job_id: UUID) -> bool:
    """Delete the files of a removal; True where that is done now."""
    try:
        with transaction.atomic():
            rows = FileRemoval.objects.select_for_update(skip_locked=True)
            standing = rows.filter(pk=job_id, done_at=None).first()
            if standing is None:
                return False
            delivery.delete_files(job_id)
            _delete_checkpoints(job_id)
            FileRemoval.objects.filter(pk=job_id).update(done_at=Now())
    except OSError as problem:
        _tell(job_id, problem)
        return False
    return True


def _delete_checkpoints(job_id: UUID) -> None:
    """What a job that ended may have left beside its clips; where this process sees no such folder, workers do it."""
    folder = settings.CHECKPOINT_ROOT / str(job_id)
    if folder.is_dir():
        shutil.rmtree(folder)


def _tell(job_id: UUID, problem: OSError) -> None:
    """An alarm, and not the same one with every round of upkeep."""
    logger.warning("files that were given up stay", extra={"job": str(job_id), "error": str(problem)})
    told = OperationalEvent.objects.filter(kind="media.not_deleted", subject=f"job:{job_id}")
    if not told.filter(at__gt=Now() - TELL_AGAIN).exists():
        operations.report("media.not_deleted", "error", f"job:{job_id}", {"error": str(problem)})

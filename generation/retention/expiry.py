"""Files are kept as long as their tier was promised at delivery; then links die, and upkeep deletes them."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast, Now

from generation.models import Asset, Job, State
from generation.retention import removal
from generation.retention.records import FileRemoval, FileRetention
from safety.models import ReviewItem


def set_with_delivery(job: Job) -> dict[str, Any]:
    """The columns of a clip that is delivered now: when its files go. A repeat's file is the original's."""
    if job.repeat_of_id:
        return {"expires_at": job.repeat_of.expires_at}
    days = FileRetention.objects.filter(tier=job.lane.tier_id).values_list("days", flat=True).first()
    return {"expires_at": None if days is None else Now() + timedelta(days=days)}


def run(limit: int = 50) -> int:
    """One round of upkeep: expire what is due, then delete the files of all that was given up. How many expired.

    While people look at a clip, or it waits for them, its files are evidence; they go afterwards.
    """
    due = Job.objects.filter(files_removed_at=None, expires_at__lte=Now(), deleted_at=None)
    withheld = Asset.objects.filter(job=OuterRef("pk"), withheld_at__isnull=False)
    asked = ReviewItem.objects.filter(subject=Cast(OuterRef("pk"), CharField()), state__in=ReviewItem.WAITING)
    due = due.filter(~Exists(withheld), ~Exists(asked), state=State.DELIVERED).order_by("expires_at")
    expired = sum(_expire(pk) for pk in due.values_list("pk", flat=True)[:limit])
    removal.settle_pending(limit)
    return expired


def _expire(job_id: Any) -> bool:
    with transaction.atomic():
        jobs = Job.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        job = jobs.filter(pk=job_id, state=State.DELIVERED, files_removed_at=None, deleted_at=None).first()
        if job is None or Asset.objects.filter(job=job, withheld_at__isnull=False).exists():
            return False
        removal.give_up(job, FileRemoval.Cause.EXPIRED)
    return True


def effect(tier: str, now: datetime) -> int:
    """How many clips of a tier were delivered in the last 30 days: what a change of its days is about."""
    since = now - timedelta(days=30)
    return Job.objects.filter(
        lane__tier=tier, kind="clip", state=State.DELIVERED, finished_at__gte=since
    ).count()

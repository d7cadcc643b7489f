"""A report of a clip by somebody who can see it: to safety as a subject, withheld at once where the class says so."""

from django.db import transaction
from django.db.models.functions import Now

from accounts.errors import ApiError
from accounts.identity import Caller
from accounts.models import Organization
from generation.models import Asset, Job, Kind, State
from safety.models import UserReport
from safety.review import reports


def report_clip(job: Job, category: str, text: str, caller: Caller) -> UserReport:
    """Report a clip of the caller's organization. Raises `ApiError`: not_ready, invalid_value, rate_limit_exceeded."""
    who = f"user:{caller.user.pk}" if caller.user else f"key:{caller.api_key.pk}"
    return _report(job, category, text, who, caller.organization)


def report_by_visitor(job: Job, category: str, text: str, reporter: str) -> UserReport:
    """Report a delivered clip without an account. Raises as `report_clip`."""
    return _report(job, category, text, reporter, None)


def _report(
    job: Job, category: str, text: str, reporter: str, organization: Organization | None
) -> UserReport:
    if job.kind != Kind.CLIP or job.state != State.DELIVERED:
        raise ApiError("not_ready", "Only a delivered clip can be reported; this one is not delivered.")
    source = job.repeat_of if job.repeat_of_id else job
    asset = Asset.objects.filter(job=source, role="video", removed_at=None).first()
    if asset is None:
        raise ApiError("not_found", "This clip has no file any more: there is nothing to report.")
    with transaction.atomic():
        made = reports.submit(
            str(source.pk),
            asset.digest,
            category=category,
            text=text,
            reporter=reporter,
            organization=organization,
            fence=source.fence,
        )
        if made.item.withheld:
            Asset.objects.filter(job=source, withheld_at=None).update(withheld_at=Now())
    return made

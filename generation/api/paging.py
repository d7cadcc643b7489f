"""Pages of jobs by time of creation: which come behind a job that was seen last."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.errors import ApiError
from generation.models import Job

Order = Literal["asc", "desc"]


def behind(jobs: QuerySet[Job], order: Order, last: UUID | None, organization_id: int) -> QuerySet[Job]:
    """The jobs in order of (created_at, id), behind the one that a page ended with.

    That one may have been deleted since, or be no longer what the page was filtered by. Raises `ApiError` invalid_value
    where it is none of the organization's.
    """
    compare, sign = ("gt", "") if order == "asc" else ("lt", "-")
    if last is not None:
        seen = _moment(organization_id, last)
        later = Q(**{f"created_at__{compare}": seen}) | Q(created_at=seen, **{f"id__{compare}": last})
        jobs = jobs.filter(later)
    return jobs.order_by(f"{sign}created_at", f"{sign}id")


def _moment(organization_id: int, last: UUID) -> datetime:
    found = Job.objects.filter(pk=last, organization=organization_id)
    seen = found.values_list("created_at", flat=True).first()
    if seen is None:
        raise not_seen()
    return seen


def not_seen() -> ApiError:
    message = "`after` has to be the `last_id` of a page of this list."
    return ApiError("invalid_value", message, param="after")

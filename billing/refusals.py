"""Requests that were refused: they cost nothing and have no line in the statement, but each has its decision."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Sum

from billing.models import Decision

SHOWN = 50


@dataclass(frozen=True)
class Refused:
    """A refused request; `like_it` counts those of the same minute that were refused by the rate limit as well."""

    decision: Decision
    like_it: int


def newest(organization_id: int, before: UUID | None = None) -> tuple[list[Refused], UUID | None]:
    """A page of refused requests, newest first, and the id to go on from; two queries at most."""
    found = Decision.objects.filter(organization_id=organization_id, allowed=False)
    if before is not None:
        last = Decision.objects.filter(organization_id=organization_id, pk=before).values("at")
        found = found.filter(at__lt=last[:1])
    counted = found.select_related("user", "api_key").annotate(times=Sum("refusals__refused"))
    page = list(counted.order_by("-at")[: SHOWN + 1])
    shown = [Refused(decision, max(0, (decision.times or 1) - 1)) for decision in page[:SHOWN]]
    return shown, page[SHOWN - 1].pk if len(page) > SHOWN else None

"""Which tier an organization is on, and what that allows at a moment."""

from datetime import datetime

from django.db.models import OuterRef, Subquery

from accounts import batch
from accounts.models import Enrollment, TierTerms

IN_FORCE = f"""
SELECT {batch.columns(TierTerms, "t")} FROM accounts_tierterms t
 WHERE t.effective_from <= %s AND t.tier_id = (
   SELECT e.tier_id FROM accounts_enrollment e WHERE e.organization_id = %s AND e.effective_from <= %s
    ORDER BY e.effective_from DESC, e.id DESC LIMIT 1)
 ORDER BY t.effective_from DESC LIMIT 1
"""


class NoTerms(LookupError):
    """The organization is on no tier at that moment, or its tier has no terms yet."""


def terms_for(organization_id: int, now: datetime) -> TierTerms:
    """The terms in force for an organization at `now`, in one query; `terms.tier_id` is the tier's slug.

    Raises `NoTerms` where there are none: without limits nothing may be admitted.
    """
    (found,) = batch.read([in_force(organization_id, now)])
    return read(found, organization_id, now)


def in_force(organization_id: int, now: datetime) -> batch.Statement:
    """The statement whose rows `read` takes, for those who read more in the same round trip."""
    return IN_FORCE, (now, organization_id, now)


def read(rows: list[tuple], organization_id: int, now: datetime) -> TierTerms:
    """The terms that `in_force` found; raises `NoTerms`."""
    if not rows:
        raise NoTerms(f"organization {organization_id} has no tier with terms at {now.isoformat()}")
    return batch.instance(TierTerms, rows[0])


def tier_in_force(now: datetime, organization_ref: str = "pk") -> Subquery:
    """The tier's slug as an expression, to annotate many organizations in one query."""
    enrolled = Enrollment.objects.filter(organization_id=OuterRef(organization_ref), effective_from__lte=now)
    return Subquery(enrolled.order_by("-effective_from", "-id").values("tier_id")[:1])

"""Which tier an organization is on, and what that allows at a moment."""

from datetime import datetime

from django.db.models import OuterRef, Subquery

from accounts.models import Enrollment, TierTerms


class NoTerms(LookupError):
    """The organization is on no tier at that moment, or its tier has no terms yet."""


def terms_for(organization_id: int, now: datetime) -> TierTerms:
    """The terms in force for an organization at `now`, in one query; `terms.tier_id` is the tier's slug.

    Raises `NoTerms` where there are none: without limits nothing may be admitted.
    """
    enrolled = (
        Enrollment.objects.filter(organization_id=organization_id, effective_from__lte=now)
        .order_by("-effective_from", "-id")
        .values("tier_id")[:1]
    )
    terms = (
        TierTerms.objects.filter(tier_id=Subquery(enrolled), effective_from__lte=now)
        .order_by("-effective_from")
        .first()
    )
    if terms is None:
        raise NoTerms(f"organization {organization_id} has no tier with terms at {now.isoformat()}")
    return terms


def tier_in_force(now: datetime, organization_ref: str = "pk") -> Subquery:
    """The tier's slug as an expression, to annotate many organizations in one query."""
    enrolled = Enrollment.objects.filter(organization_id=OuterRef(organization_ref), effective_from__lte=now)
    return Subquery(enrolled.order_by("-effective_from", "-id").values("tier_id")[:1])

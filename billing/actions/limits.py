"""Above which amount one billing admin is not enough."""

from datetime import timedelta

from django.db.models import Sum
from django.db.models.functions import Abs
from django.utils import timezone

from billing import billing_settings, pricing
from billing.models import Adjustment, Refund

# What one person gave and took within this time counts together, or a large amount could be cut into small ones.
TOGETHER = timedelta(days=1)


def above(amount_micro: int) -> str | None:
    """Why so much takes a second person, in a sentence; None where it doesn't."""
    most = billing_settings.in_force(timezone.now()).approval_above_micro
    if abs(amount_micro) <= most:
        return None
    return f"More than {pricing.in_credits(most)} credits take a second billing admin."


def above_with_the_last_day(organization_id: int, amount_micro: int) -> str | None:
    """As `above`, together with what was changed for this organization by one person alone in the last 24 hours."""
    if alone := above(amount_micro):
        return alone
    now = timezone.now()
    adjusted = Adjustment.objects.filter(
        organization_id=organization_id,
        state=Adjustment.State.APPLIED,
        approved_by=None,
        decided_at__gt=now - TOGETHER,
    ).aggregate(sum=Sum(Abs("amount_micro"), default=0))
    refunded = Refund.objects.filter(
        payment__organization_id=organization_id,
        requested_by__isnull=False,
        created_at__gt=now - TOGETHER,
    ).aggregate(sum=Sum("credits_micro", default=0))
    before = int(adjusted["sum"]) + int(refunded["sum"])
    if above(before + abs(amount_micro)) is None:
        return None
    most = pricing.in_credits(billing_settings.in_force(now).approval_above_micro)
    return (
        f"With {pricing.in_credits(before)} credits changed for this organization in the last 24 hours, this makes "
        f"more than {most}, which take a second billing admin."
    )

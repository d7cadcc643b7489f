"""What billing admins set about billing itself, as dated rows: the newest in force counts."""

from datetime import datetime

from billing.models import BillingSettings


def in_force(now: datetime) -> BillingSettings:
    """The settings at `now`, in one query. The first row is shipped, so there always are some."""
    return BillingSettings.objects.filter(effective_from__lte=now).order_by("-effective_from")[0]

"""How long files are kept and what lies there, per tier, as operators see it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, Sum

from accounts.models import Tier
from generation.models import Asset, FileRemoval, FileRetention, Job, State

SOON = timedelta(days=7)


@dataclass(frozen=True)
class Row:
    """`days` None: kept until deleted. `bytes` in all files of `clips`; `soon` of them go in a week."""

    tier: Tier
    days: int | None
    clips: int
    bytes: int
    soon: int


def rows(now: datetime) -> list[Row]:
    """Every tier by its rank; four queries."""
    days = dict(FileRetention.objects.values_list("tier_id", "days"))
    own = Job.objects.filter(kind="clip", state=State.DELIVERED, repeat_of=None, files_removed_at=None)
    counted = own.values("lane__tier").annotate(
        clips=Count("id"), soon=Count("id", filter=Q(expires_at__lte=now + SOON))
    )
    by_tier = {one["lane__tier"]: one for one in counted}
    lying = Asset.objects.filter(removed_at=None, job__state=State.DELIVERED).values("job__lane__tier")
    sizes = dict(lying.annotate(size=Sum("bytes")).values_list("job__lane__tier", "size"))
    none = {"clips": 0, "soon": 0}
    return [
        Row(
            tier,
            days.get(tier.pk),
            by_tier.get(tier.pk, none)["clips"],
            sizes.get(tier.pk, 0),
            by_tier.get(tier.pk, none)["soon"],
        )
        for tier in Tier.objects.all()
    ]


def pending() -> int:
    """Removals whose files lie there still; more than a few for long means that storage refuses."""
    return FileRemoval.objects.filter(done_at=None).count()

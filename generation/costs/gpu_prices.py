"""The price of a device hour per pool, over a span of time: a setting's baseline under every override that stood.

Overrides are never deleted (`scheduling/records.py`), so a price of last week is what was in force last week.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from accounts import overrides
from generation.models import Kind, Pool, PoolOverride, PoolSettings

FIELD = "gpu_hour_micro_dollars"


@dataclass(frozen=True)
class Price:
    """Micro-dollars of a device hour in a pool, from a moment until another."""

    pool: str
    since: datetime
    until: datetime
    micro_dollars: int


def over(since: datetime, until: datetime) -> list[Price]:
    """Every price of the clip pools within the span, without gaps, pool by pool in order of time; two queries."""
    pools = Pool.objects.filter(kind=Kind.CLIP).select_related("settings").order_by("pk")
    ended_before = Q(removed_at__lte=since) | Q(expires_at__lte=since)
    found: dict[str, list[PoolOverride]] = {}
    for row in PoolOverride.objects.filter(~ended_before, field=FIELD, created_at__lt=until).order_by("pk"):
        found.setdefault(row.pool_id, []).append(row)
    return [price for pool in pools for price in _of_pool(pool, found.get(pool.pk, ()), since, until)]


def _of_pool(pool: Pool, rows: Sequence[PoolOverride], since: datetime, until: datetime) -> list[Price]:
    settings = getattr(pool, "settings", None) or PoolSettings(pool=pool)
    baseline = {FIELD: settings.gpu_hour_micro_dollars}
    moments = {
        at for row in rows for at in (row.created_at, row.expires_at, row.removed_at) if at is not None
    }
    cuts = sorted({since, until, *(at for at in moments if since < at < until)})
    prices: list[Price] = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        price = int(overrides.effective(baseline, rows, start)[FIELD])
        if prices and prices[-1].micro_dollars == price:
            prices[-1] = Price(pool.pk, prices[-1].since, end, price)
        else:
            prices.append(Price(pool.pk, start, end, price))
    return prices

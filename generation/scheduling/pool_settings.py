"""The live settings of pools and of the auto-raise rule: baseline rows under the overrides that stand."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from generation.models import Pool, PoolOverride, PoolSettings, RaiseRule, RaiseRuleOverride
from generation.policy import auto_raise


@dataclass(frozen=True)
class PoolTerms:
    """What is in force for a pool; times in seconds. `most_preemptions` and `most_wait_s` are off at 0;
    `gpu_hour_micro_dollars` is the price of a device; `capacity_units_micro` may run at once, None is no limit; while
    it is `paused` nothing new is claimed."""

    preempt_after_s: float
    most_preemptions: int
    soon_s: float
    most_wait_s: float
    gpu_hour_micro_dollars: int
    capacity_units_micro: int | None
    paused: bool = False


def pools(now: datetime) -> dict[str, PoolTerms]:
    """Pool → its settings in force; two queries. A pool without a row has the baseline of a new one."""
    standing = _by(PoolOverride.objects.filter(removed_at=None).order_by("pk"), "pool_id")
    found = Pool.objects.select_related("settings").order_by("pk")
    return {pool.pk: _terms(pool, standing.get(pool.pk, []), now) for pool in found}


def of_pool(pool_slug: str, now: datetime) -> PoolTerms:
    """One pool's settings in force; two queries."""
    pool = Pool.objects.select_related("settings").get(pk=pool_slug)
    return _terms(pool, pool.overrides.filter(removed_at=None).order_by("pk"), now)


def _terms(pool: Pool, standing: Iterable[PoolOverride], now: datetime) -> PoolTerms:
    row = getattr(pool, "settings", None) or PoolSettings(pool=pool)
    baseline = {name: getattr(row, name) for name in PoolSettings.FIELDS}
    baseline |= {"capacity_units_micro": pool.capacity_units_micro, "paused": False}
    return PoolTerms(**overrides.effective(baseline, standing, now))


def raise_rules(now: datetime) -> dict[str, auto_raise.Rule]:
    """Lane → the auto-raise rule in force for it; two queries."""
    standing = _by(RaiseRuleOverride.objects.filter(removed_at=None).order_by("pk"), "lane_id")
    return {
        row.lane_id: auto_raise.Rule(
            **overrides.effective(
                {name: getattr(row, name) for name in RaiseRule.FIELDS}, standing.get(row.lane_id, []), now
            )
        )
        for row in RaiseRule.objects.all()
    }


def _by(rows, key: str) -> dict[str, list]:
    found: dict[str, list] = {}
    for row in rows:
        found.setdefault(getattr(row, key), []).append(row)
    return found

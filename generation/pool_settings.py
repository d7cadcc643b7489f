"""The live settings of pools and of the auto-raise rule: baseline rows under the overrides that stand."""

from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from generation.models import Pool, PoolOverride, PoolSettings, RaiseRule, RaiseRuleOverride
from generation.policy import auto_raise


@dataclass(frozen=True)
class PoolTerms:
    """What is in force for a pool; times in seconds. `most_preemptions` and `most_wait_s` are off at 0."""

    preempt_after_s: float
    most_preemptions: int
    soon_s: float
    most_wait_s: float


def pools(now: datetime) -> dict[str, PoolTerms]:
    """Pool → its settings in force; two queries. A pool without a row has the baseline of a new one."""
    standing = _by(PoolOverride.objects.filter(removed_at=None).order_by("pk"), "pool_id")
    return {row.pool_id: _terms(row, standing, now) for row in PoolSettings.objects.all()}


def of_pool(pool_slug: str, now: datetime) -> PoolTerms:
    """One pool's settings in force; two queries."""
    row = PoolSettings.objects.filter(pool=pool_slug).first() or PoolSettings(pool_id=pool_slug)
    standing = PoolOverride.objects.filter(pool=pool_slug, removed_at=None).order_by("pk")
    return _terms(row, {pool_slug: list(standing)}, now)


def capacity(pool_slug: str, now: datetime) -> int | None:
    """Micro-units that may run at once by setting, as a claim reads it; None is no limit. Two queries."""
    baseline = {"capacity_units_micro": Pool.objects.get(pk=pool_slug).capacity_units_micro}
    standing = PoolOverride.objects.filter(pool=pool_slug, removed_at=None, field="capacity_units_micro")
    return overrides.effective(baseline, standing.order_by("pk"), now)["capacity_units_micro"]


def _terms(row: PoolSettings, standing: dict[str, list], now: datetime) -> PoolTerms:
    baseline = {name: getattr(row, name) for name in PoolSettings.FIELDS}
    own = [one for one in standing.get(row.pool_id, []) if one.field in baseline]
    return PoolTerms(**overrides.effective(baseline, own, now))


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

"""A lane's live settings: the baseline on its row under the overrides that stand, never stored as a result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch

from accounts import overrides
from generation.models import Lane, LaneOverride


@dataclass(frozen=True)
class LaneSettings:
    """What is in force: weight, floor (share of recent GPU-time), and what one organization may have running: jobs
    (burst cap) and micro-units, where None is no limit."""

    weight: float
    floor: float
    max_running: int
    max_units_micro: int | None = None


def lanes(pool_slug: str | None = None) -> Sequence[Lane]:
    """The lanes of a pool (or all), each with its standing overrides; two queries."""
    standing = LaneOverride.objects.filter(removed_at=None).order_by("pk")
    found = Lane.objects.select_related("tier").prefetch_related(
        Prefetch("overrides", queryset=standing, to_attr="standing_overrides")
    )
    if pool_slug:
        found = found.filter(pool=pool_slug)
    return list(found.order_by("pool_id", "tier__rank"))


def effective(lane: Lane, now: datetime) -> LaneSettings:
    """The settings of one lane that `lanes` returned, at `now`."""
    baseline = {name: getattr(lane, name) for name in LaneOverride.FIELDS}
    return in_force(baseline, lane.standing_overrides, now)


def in_force(
    baseline: Mapping[str, object], changes: Iterable[overrides.Overriding], now: datetime
) -> LaneSettings:
    """The settings of a baseline under its overrides at `now`."""
    values = overrides.effective(baseline, changes, now)
    units = values["max_units_micro"]
    return LaneSettings(
        float(values["weight"]),
        float(values["floor"]),
        int(values["max_running"]),
        None if units is None else int(units),
    )

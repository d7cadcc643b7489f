"""The lanes as operators see them: what is set, what is in force, what waits and runs, and who gets how much."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from accounts import overrides
from generation import dispatch
from generation.models import Lane, LaneOrganization, LaneOverride, Pool
from generation.policy import fair_share
from generation.scheduling import lane_settings, queue_waits
from generation.scheduling.lane_settings import LaneSettings
from generation.scheduling.queue_waits import Wait


@dataclass(frozen=True)
class LaneRow:
    """A lane now. `share` is its part of the pool's recent GPU-time, `fair` what its weight gives it among the lanes
    that wait; both are shares of one, None where nothing ran or nothing waits. `override` is the one in force."""

    lane: Lane
    settings: LaneSettings
    override: LaneOverride | None
    waiting: int
    running: int
    share: float | None
    fair: float | None
    wait: Wait | None

    @property
    def share_percent(self) -> int:
        return round(100 * (self.share or 0))

    @property
    def fair_percent(self) -> int:
        return round(100 * (self.fair or 0))


@dataclass(frozen=True)
class PoolBoard:
    pool: Pool
    rows: list[LaneRow]

    @property
    def waiting(self) -> int:
        return sum(row.waiting for row in self.rows)

    @property
    def running(self) -> int:
        return sum(row.running for row in self.rows)


def board(now: datetime) -> list[PoolBoard]:
    """Every pool with its lanes; two queries and five a pool."""
    counts = _counts()
    return [PoolBoard(pool, _rows(pool, counts, now)) for pool in Pool.objects.order_by("slug")]


def _counts() -> dict[str, tuple[int, int]]:
    """Lane → waiting and running jobs."""
    grouped = LaneOrganization.objects.values("lane").annotate(w=Sum("waiting"), r=Sum("running"))
    return {row["lane"]: (row["w"], row["r"]) for row in grouped}


def _rows(pool: Pool, counts: dict[str, tuple[int, int]], now: datetime) -> list[LaneRow]:
    lanes = lane_settings.lanes(pool.slug)
    waiting = {lane.slug for lane in lanes if counts.get(lane.slug, (0, 0))[0]}
    views = {view.slug: view for view in dispatch.lane_views(pool.slug, now, waiting)}
    fair = fair_share.fair_shares(list(views.values()))
    recent = sum(view.recent_gpu_ms for view in views.values())
    waits = queue_waits.per_lane_now(pool.slug, now)
    return [
        LaneRow(
            lane=lane,
            settings=lane_settings.effective(lane, now),
            override=_in_force(lane, now),
            waiting=counts.get(lane.slug, (0, 0))[0],
            running=counts.get(lane.slug, (0, 0))[1],
            share=views[lane.slug].recent_gpu_ms / recent if recent >= 1 else None,
            fair=fair[lane.slug] if waiting else None,
            wait=waits.get(lane.slug),
        )
        for lane in lanes
    ]


def _in_force(lane: Lane, now: datetime) -> LaneOverride | None:
    """The override that gives the weight, if one does: the newest in force, as accounts.overrides decides."""
    standing = [o for o in lane.standing_overrides if o.field == "weight" and overrides.in_force(o, now)]
    return max(standing, key=lambda override: (override.created_at, override.pk), default=None)

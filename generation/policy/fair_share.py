"""Which lane goes next, and what its claim costs it: start-time fair queueing, computed at claim time.

After Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996): each flow carries a tag in service ÷ weight, the
backlogged flow with the least start tag is served, and a flow that was idle starts at the virtual time of the others,
so that it can't save up credit. Their theorem 1 bounds how far two backlogged flows f and m drift apart:
|W_f/w_f − W_m/w_m| ≤ l_f/w_f + l_m/w_m, where l is a flow's largest job. Here service is GPU-milliseconds. Since a
tag is computed at the claim and not when a job arrives, a new weight re-ranks the backlog that already waits.

Lanes compete like this inside a pool, and organizations inside a lane with equal weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

RULE_VERSION = "fair-share-1"
FLOOR_HALF_LIFE_S = 120.0


@dataclass(frozen=True)
class LaneView:
    """A lane as the claim sees it: effective (not baseline) weight and floor.

    `eligible` means that some organization waits in it below its burst cap. `recent_gpu_ms` is decayed to now.
    """

    slug: str
    tag: float
    weight: float
    floor: float
    recent_gpu_ms: float
    eligible: bool


@dataclass(frozen=True)
class Choice:
    """The lane that goes next, its start tag, the pool's new virtual time, and why it was this one."""

    slug: str
    start: float
    virtual_time: float
    reason: str


def choose_lane(lanes: Sequence[LaneView], virtual_time: float) -> Choice | None:
    """The next lane, or None where nothing may run.

    A backlogged lane whose share of the last minutes' GPU-time is under its floor goes first (the one that is furthest
    below); otherwise the least start tag does, ties to the larger weight, then by name so that a replay agrees.
    """
    backlogged = [lane for lane in lanes if lane.eligible]
    if not backlogged:
        return None
    new_virtual_time = max(virtual_time, min(lane.tag for lane in backlogged))

    def start(lane: LaneView) -> float:
        return max(lane.tag, virtual_time)

    owed = [lane for lane in backlogged if _shortfall(lane, lanes) > 0]
    if owed:
        lane = max(owed, key=lambda lane: (_shortfall(lane, lanes), lane.weight, lane.slug))
        return Choice(lane.slug, start(lane), new_virtual_time, "floor")
    lane = min(backlogged, key=lambda lane: (start(lane), -lane.weight, lane.slug))
    return Choice(lane.slug, start(lane), new_virtual_time, "share")


def _shortfall(lane: LaneView, lanes: Sequence[LaneView]) -> float:
    """How far the lane's share of recent GPU-time lies under its floor; 0 where nothing ran recently."""
    total = sum(other.recent_gpu_ms for other in lanes)
    return lane.floor - lane.recent_gpu_ms / total if total > 0 else 0.0


def charged(start: float, gpu_ms: float, weight: float) -> float:
    """The tag after a claim that is expected to take `gpu_ms`."""
    return start + gpu_ms / weight


def corrected(tag: float, charged_gpu_ms: float, actual_gpu_ms: float, weight: float) -> float:
    """The tag once it is known what really ran, at the weight that the claim was charged with.

    A job that was handed back or lost gets the part that did not run back.
    """
    return tag + (actual_gpu_ms - charged_gpu_ms) / weight


def charged_inside(tag: float, virtual_time: float, gpu_ms: float) -> tuple[float, float]:
    """An organization's claim inside its lane: its start tag, which is the lane's new inner virtual time, and its tag
    afterwards. Organizations weigh the same."""
    start = max(tag, virtual_time)
    return start, charged(start, gpu_ms, 1.0)


def fits(running_units_micro: int, units_micro: int, capacity_units_micro: int | None) -> bool:
    """A weighted semaphore: whether a job of so many micro-units may run beside what runs.

    A job larger than the whole capacity runs alone, for it would wait for ever otherwise. None is no limit.
    """
    if capacity_units_micro is None or running_units_micro == 0:
        return True
    return running_units_micro + units_micro <= capacity_units_micro


def decayed(gpu_ms: float, seconds: float, half_life_s: float = FLOOR_HALF_LIFE_S) -> float:
    """Recent GPU-time `seconds` later: exponential forgetting, so that the floor needs no history."""
    return gpu_ms * math.exp2(-max(0.0, seconds) / half_life_s)


def fair_shares(lanes: Sequence[LaneView]) -> dict[str, float]:
    """Each backlogged lane's share by weight (for pages and estimates); 0 for a lane with nothing to run."""
    total = sum(lane.weight for lane in lanes if lane.eligible)
    return {lane.slug: lane.weight / total if lane.eligible and total else 0.0 for lane in lanes}

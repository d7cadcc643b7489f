"""Which lane goes next, and what its claim costs it: start-time fair queueing, computed at claim time.

After Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996): each flow carries a tag in service ÷ weight, the
backlogged flow with the least start tag is served, and a flow that was idle starts at the virtual time of the others,
so that it can't save up credit. Their theorem 1 bounds how far two backlogged flows f and m drift apart:
|W_f/w_f − W_m/w_m| ≤ l_f/w_f + l_m/w_m, where l is a flow's largest job. Here service is GPU-milliseconds. Since a
tag is computed at the claim and not when a job arrives, a new weight re-ranks the backlog that already waits.

**The bound.** A claim charges an estimate, and a weight may change, so count each job at the weight of its claim: by
what it was charged while it runs, by what it took once its end was put right. Between two lanes that both have
something to run all the while, and that floors leave alone, these sums then differ by at most

    max(l_f/w_f + over_f + unrun_m, l_m/w_m + over_m + unrun_f)

where l/w is a lane's largest single charge, `over` the most that its running jobs together took beyond their
estimates, and `unrun` the most that its running jobs together were charged for and did not take, at any one time.
For a lane claims only at the least tag, which its charge then lifts by l/w at most; until it claims again only the ends
of jobs that ran at that moment can widen the gap. With exact estimates that is max(l_f/w_f, l_m/w_m), inside the
theorem's. It counts on every correction being kept: what a lane gets back may lie under the virtual time that a
lane from idleness is lifted to, so `owed` says how far below that it may start.

Lanes compete like this inside a pool, and organizations inside a lane with equal weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

RULE_VERSION = "fair-share-1"
FLOOR_HALF_LIFE_S = 120.0


@dataclass(slots=True)
class LaneView:
    """A lane as the claim sees it: effective (not baseline) weight and floor. A claim of several jobs moves it on.

    `eligible` means that some organization waits in it below its burst cap. `recent_gpu_ms` is decayed to now. `owed`
    is how far below the virtual time it may start, since jobs of its took less than they were charged (`put_right`).
    """

    slug: str
    tag: float
    weight: float
    floor: float
    recent_gpu_ms: float
    eligible: bool
    owed: float = 0.0


class Choice(NamedTuple):
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
    # One pass and no calls: a simulated hour of a fleet makes a million choices.
    backlogged, recent_gpu_ms, least_tag = [], 0.0, math.inf
    for lane in lanes:
        recent_gpu_ms += lane.recent_gpu_ms
        if lane.eligible:
            backlogged.append(lane)
            if lane.tag < least_tag:
                least_tag = lane.tag
    if not backlogged:
        return None
    new_virtual_time = virtual_time if virtual_time > least_tag else least_tag
    first, first_start = None, math.inf
    for lane in backlogged:
        if lane.recent_gpu_ms < lane.floor * recent_gpu_ms:
            return _below_its_floor(backlogged, recent_gpu_ms, virtual_time, new_virtual_time)
        start, least = lane.tag, virtual_time - lane.owed
        if start < least:
            start = least
        if start < first_start or (
            start == first_start and (-lane.weight, lane.slug) < (-first.weight, first.slug)
        ):
            first, first_start = lane, start
    return Choice(first.slug, first_start, new_virtual_time, "share")


def _below_its_floor(
    backlogged: Sequence[LaneView], recent_gpu_ms: float, virtual_time: float, new_virtual_time: float
) -> Choice:
    """Of the lanes under their floor the one that is furthest below."""
    below = [lane for lane in backlogged if lane.recent_gpu_ms < lane.floor * recent_gpu_ms]
    lane = max(
        below, key=lambda lane: (lane.floor - lane.recent_gpu_ms / recent_gpu_ms, lane.weight, lane.slug)
    )
    return Choice(lane.slug, lifted(lane.tag, virtual_time, lane.owed), new_virtual_time, "floor")


# The comparisons below are written out: a simulated hour of a fleet makes a million of them.


def lifted(tag: float, virtual_time: float, owed: float = 0.0) -> float:
    """The start tag: whoever was idle starts at the virtual time, or as far below it as it is owed."""
    least = virtual_time - owed
    return tag if tag > least else least


def charged(start: float, gpu_ms: float, weight: float) -> float:
    """The tag after a claim that is expected to take `gpu_ms`."""
    return start + gpu_ms / weight


def corrected(tag: float, charged_gpu_ms: float, actual_gpu_ms: float, weight: float) -> float:
    """The tag once it is known what really ran, at the weight that the claim was charged with.

    A job that was handed back or lost gets the part that did not run back.
    """
    return tag + (actual_gpu_ms - charged_gpu_ms) / weight


def charged_inside(tag: float, virtual_time: float, gpu_ms: float, owed: float = 0.0) -> tuple[float, float]:
    """An organization's claim inside its lane: the lane's new inner virtual time, which is its start tag if that is
    later, and its tag afterwards. Organizations weigh the same."""
    start = lifted(tag, virtual_time, owed)
    return start if start > virtual_time else virtual_time, start + gpu_ms


def put_right(
    tag: float, virtual_time: float, owed: float, charged_gpu_ms: float, actual_gpu_ms: float, weight: float
) -> tuple[float, float]:
    """The tag and what is owed once a job's end is known: `corrected`, and so that no lift takes it away again.

    Idleness up to now is no credit: it counts from where a claim would have started.
    """
    if actual_gpu_ms == charged_gpu_ms:
        return tag, owed
    right = corrected(lifted(tag, virtual_time, owed), charged_gpu_ms, actual_gpu_ms, weight)
    return right, virtual_time - right if right < virtual_time else 0.0


def still_owed(owed: float, tag: float, virtual_time: float) -> float:
    """What is owed after a claim: what it did not catch up."""
    if not owed or tag >= virtual_time:
        return 0.0
    return min(owed, virtual_time - tag)


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

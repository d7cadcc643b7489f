"""Which running jobs give their device back, because jobs of lanes that are never interrupted waited too long.

The rule, and why each part of it is there:

* A waiting job counts once it is over the bound and could really start: its organization is under its burst cap.
* Devices that are idle, were asked for already, or should be free within `soon_s` serve the first of them; only for
  the rest is anything interrupted.
* A job that was asked `most` times is left alone, so that every job ends.
* Nobody gives way in vain: the next claim goes by fair share, so the interruption is played through with the tags it
  would see, and is made only where the device would go to a lane that waited too long. A lane over its fair share
  can't take more by interrupting others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generation.policy import fair_share
from generation.policy.fair_share import LaneView

RULE_VERSION = "preemption-1"


@dataclass(frozen=True)
class Overdue:
    """A lane that is not preemptible: how many of its jobs could start and are over the bound, and the longest wait."""

    lane: str
    jobs: int
    longest_s: float


@dataclass(frozen=True)
class Turn:
    """A running attempt with a device. `left_s` is when that should be free, `done` the share of its steps that ran.

    `preemptions` counts how often its job was asked before; `asked` means this attempt was. `charged_gpu_ms` is what
    its claim charged to the lane, `ran_gpu_ms` what has run of it.
    """

    attempt_id: int
    lane: str
    preemptible: bool
    done: float
    left_s: float
    preemptions: int
    asked: bool
    charged_gpu_ms: float
    ran_gpu_ms: float
    charged_weight: float


@dataclass(frozen=True)
class Terms:
    """The pool's live settings."""

    most: int
    soon_s: float


@dataclass(frozen=True)
class Yielding:
    """An attempt that is to give way, for which lane, and how long that lane's oldest waiting job has waited."""

    attempt_id: int
    to_lane: str
    waited_s: float


def who_yields(
    overdue: Sequence[Overdue],
    turns: Sequence[Turn],
    idle_slots: int,
    lanes: Sequence[LaneView],
    virtual_time: float,
    terms: Terms,
) -> list[Yielding]:
    """The attempts to ask now, each for one waiting job; none where waiting a moment does as well.

    `lanes` are all lanes of the pool as a claim now would see them, `eligible` where something could start.
    """
    free = idle_slots + sum(turn.asked or turn.left_s <= terms.soon_s for turn in turns)
    missing = sum(lane.jobs for lane in overdue) - free
    waited = {lane.lane: lane.longest_s for lane in overdue}
    views, chosen = {view.slug: view for view in lanes}, []
    for turn in _in_order(turns, views, terms)[: max(0, missing)]:
        after = {**views, turn.lane: _given_back(views[turn.lane], virtual_time, turn)}
        next_lane = fair_share.choose_lane(list(after.values()), virtual_time)
        if next_lane is None or next_lane.slug not in waited:
            continue
        chosen.append(Yielding(turn.attempt_id, next_lane.slug, waited[next_lane.slug]))
        views = _taken(after, next_lane, turn)
        virtual_time = next_lane.virtual_time
    return chosen


def _in_order(turns: Sequence[Turn], views: dict[str, LaneView], terms: Terms) -> list[Turn]:
    """Who may be asked: the least weight first, then the least done, then the newest."""
    able = [
        turn
        for turn in turns
        if turn.preemptible
        and not turn.asked
        and turn.preemptions < terms.most
        and turn.left_s > terms.soon_s
        and turn.lane in views
    ]
    return sorted(able, key=lambda turn: (views[turn.lane].weight, turn.done, -turn.attempt_id))


def _given_back(view: LaneView, virtual_time: float, turn: Turn) -> LaneView:
    """Its lane after the hand-back: the unrun part is refunded, and the job waits in it again."""
    tag, owed = fair_share.put_right(
        view.tag, virtual_time, view.owed, turn.charged_gpu_ms, turn.ran_gpu_ms, turn.charged_weight
    )
    recent = max(0.0, view.recent_gpu_ms + turn.ran_gpu_ms - turn.charged_gpu_ms)
    return replace(view, tag=tag, owed=owed, recent_gpu_ms=recent, eligible=True)


def _taken(views: dict[str, LaneView], choice: fair_share.Choice, turn: Turn) -> dict[str, LaneView]:
    """The lanes after the claim that follows; the job that starts is taken to be as large as the one that yields."""
    view = views[choice.slug]
    tag = fair_share.charged(choice.start, turn.charged_gpu_ms, view.weight)
    owed = fair_share.still_owed(view.owed, tag, choice.virtual_time)
    recent = view.recent_gpu_ms + turn.charged_gpu_ms
    return {**views, choice.slug: replace(view, tag=tag, owed=owed, recent_gpu_ms=recent)}

"""Which jobs a claim takes, from what it read: the one procedure of the live dispatcher and of the simulator.

A claim of several jobs is the same as so many single claims one after another: each is chosen with the tags, counts
and units that the one before it left. `take` works on the books in place, since a fleet makes thousands of choices
a second; nothing else is touched.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from generation.policy import fair_share
from generation.policy.fair_share import Choice, LaneView


class ReadOn(Exception):
    """What was read doesn't reach to say who is next: keep what is taken, and read again."""


@dataclass(frozen=True)
class WaitingJob:
    """`units_micro` weighs it against caps in units, `estimate_gpu_ms` is what its claim charges."""

    id: Hashable
    units_micro: int
    estimate_gpu_ms: int


@dataclass
class Place:
    """An organization that waits in a lane, with its next jobs in order. `waiting` counts all of them."""

    id: int
    organization: int
    tag: float
    running: int
    running_units_micro: int
    waiting: int
    jobs: list[WaitingJob]
    owed: float = 0.0
    taken: int = 0

    def next_job(self) -> WaitingJob | None:
        """Its next job; None where nothing waits (any more). Raises `ReadOn` where more waits than was read."""
        if self.taken < len(self.jobs):
            return self.jobs[self.taken]
        if self.taken < self.waiting:
            raise ReadOn
        return None


@dataclass
class LaneBook:
    """A lane at a claim: its view, its caps per organization, and the places that were read, which are the first by
    (tag, id). `more` says that others wait behind them."""

    view: LaneView
    max_running: int
    organization_virtual_time: float = 0.0
    max_units_micro: int | None = None
    places: list[Place] = field(default_factory=list)
    more: bool = False
    in_order: bool = False  # whether `places` stand by (tag, id); a charge moves one of them

    def head(self) -> Place | None:
        """The organization that is next: the least tag among those that wait and have room. Raises `ReadOn`."""
        if not self.in_order:
            self.places.sort(key=lambda place: (place.tag, place.id))
            self.in_order = True
        for place in self.places:
            if self.has_room(place):
                return place
        if self.more:
            raise ReadOn
        return None

    def has_room(self, place: Place) -> bool:
        """Whether its next job may run beside what it runs already."""
        job = place.next_job()
        return (
            job is not None
            and place.running < self.max_running
            and fair_share.fits(place.running_units_micro, job.units_micro, self.max_units_micro)
        )


@dataclass
class PoolBook:
    """A pool at a claim. `running_units_micro` counts only where there is a capacity."""

    virtual_time: float
    lanes: dict[str, LaneBook]
    capacity_units_micro: int | None = None
    running_units_micro: int = 0


@dataclass(frozen=True)
class Taken:
    """One job, the place it came from, what its claim charged at which weight, and why its lane went."""

    job: WaitingJob
    lane: str
    place: Place
    charged_gpu_ms: int
    weight: float
    reason: str


def take(pool: PoolBook) -> Taken | None:
    """The next job, its charge already in the books; None where nothing may run.

    Where the next one doesn't fit in the pool beside what runs, none does: a smaller one that went before it would
    let it wait for ever. Raises `ReadOn`.
    """
    heads = {slug: lane.head() for slug, lane in pool.lanes.items()}
    for slug, lane in pool.lanes.items():
        lane.view.eligible = heads[slug] is not None
    choice = fair_share.choose_lane([lane.view for lane in pool.lanes.values()], pool.virtual_time)
    if choice is None:
        return None
    place = heads[choice.slug]
    job = place.next_job()
    if not fair_share.fits(pool.running_units_micro, job.units_micro, pool.capacity_units_micro):
        return None
    lane = pool.lanes[choice.slug]
    weight = lane.view.weight
    _charge(pool, lane, place, job, choice)
    return Taken(job, choice.slug, place, job.estimate_gpu_ms, weight, choice.reason)


def take_many(pool: PoolBook, count: int) -> tuple[list[Taken], bool]:
    """Up to `count` jobs, and whether that is all there is: False where it has to be read on."""
    found: list[Taken] = []
    try:
        while len(found) < count:
            taken = take(pool)
            if taken is None:
                return found, True
            found.append(taken)
    except ReadOn:
        return found, False
    return found, True


def _charge(pool: PoolBook, lane: LaneBook, place: Place, job: WaitingJob, choice: Choice) -> None:
    """Move the tags: the lane's, the organization's inside it, and both virtual times; count the job as running."""
    estimate = job.estimate_gpu_ms
    inside, place.tag = fair_share.charged_inside(
        place.tag, lane.organization_virtual_time, estimate, place.owed
    )
    place.owed = fair_share.still_owed(place.owed, place.tag, inside)
    place.taken += 1
    place.running += 1
    place.running_units_micro += job.units_micro
    lane.organization_virtual_time = inside
    lane.in_order = False
    view = lane.view
    view.tag = fair_share.charged(choice.start, estimate, view.weight)
    view.recent_gpu_ms += estimate
    view.owed = fair_share.still_owed(view.owed, view.tag, choice.virtual_time)
    pool.virtual_time = choice.virtual_time
    pool.running_units_micro += job.units_micro


def correct(
    lane: LaneBook, virtual_time: float, charged_gpu_ms: int, actual_gpu_ms: int, weight: float
) -> None:
    """Put a lane right for an attempt that ended, at the weight that its claim was charged with."""
    view = lane.view
    view.tag, view.owed = fair_share.put_right(
        view.tag, virtual_time, view.owed, charged_gpu_ms, actual_gpu_ms, weight
    )
    view.recent_gpu_ms = max(0.0, view.recent_gpu_ms + actual_gpu_ms - charged_gpu_ms)

"""A pool's lanes in memory, with the choices of `generation.dispatch`: the same policy over the same state.

What the service reads by an index, the least tag among the organizations that wait below their cap, is a heap here.
The estimates of attempts that ended are put right by the next claim, as there.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from generation.policy import fair_share


@dataclass(frozen=True)
class LaneTerms:
    """A lane as it is set: weight, floor (share of recent GPU-time), running jobs per organization (burst cap).

    `max_units_micro` caps the compute units that an organization runs at once. `max_open`, `per_minute` and
    `per_minute_key` are what admission lets an organization (and each of its keys) have; None leaves a limit out.
    A job delivered later than `target_s` after it was queued earns `credit_micro`.
    """

    slug: str
    tier: str
    weight: float
    floor: float = 0.0
    max_running: int = 1_000_000
    max_units_micro: int | None = None
    preemptible: bool = False
    max_open: int | None = None
    per_minute: int | None = None
    per_minute_key: int | None = None
    target_s: float | None = None
    credit_micro: int = 0


class Organization:
    """An organization's place in a lane: its tag, what waits in order, how many run."""

    __slots__ = (
        "backlogged_s",
        "backlogged_since",
        "gpu_ms",
        "key_tats",
        "listed",
        "name",
        "open",
        "owed",
        "place",
        "returned",
        "running",
        "started_at",
        "tag",
        "tat",
        "units_micro",
        "waiting",
    )

    def __init__(self, name: object, place: int) -> None:
        self.name, self.place, self.tag, self.owed = name, place, 0.0, 0.0
        self.waiting: deque[Job] = deque()
        self.returned: list[tuple[float, int, Job]] = []  # handed back: before all others, by first arrival
        self.running = self.units_micro = 0
        self.listed: float | None = None  # the tag under which the lane's heap has it
        self.open, self.tat = 0, 0.0
        self.key_tats: dict[object, float] | None = None
        self.gpu_ms, self.backlogged_s, self.backlogged_since = 0.0, 0.0, 0.0
        self.started_at = -inf  # when its last new job started

    def next_job(self) -> "Job":
        """The job that its next claim takes; there must be one."""
        return self.returned[0][2] if self.returned else self.waiting[0]


class Job:
    """One request on its way. `run_ms` is what it takes in all, `left_ms` what is still to run."""

    # What most jobs never get another value of stands here: a simulated hour makes half a million of them.
    asked = began = failures = fence = steps_done = yields = 0
    machine, nan_at, weight = -1, 0.0, 1.0
    started_at: float | None = None

    def __init__(
        self,
        organization: Organization,
        number: int,
        queued_at: float,
        estimate_ms: int,
        run_ms: int,
        steps: int = 1,
        units_micro: int = 0,
    ) -> None:
        self.organization, self.number, self.queued_at = organization, number, queued_at
        self.estimate_ms, self.run_ms, self.left_ms, self.steps = estimate_ms, run_ms, float(run_ms), steps
        self.units_micro = units_micro


class Lane:
    """A lane's organizations, and what `choose_lane` reads of it: a `LaneView` that is kept, not built anew."""

    __slots__ = (
        "burst_s",
        "eligible",
        "floor",
        "gap_s",
        "heap",
        "key_burst_s",
        "key_gap_s",
        "max_open",
        "max_running",
        "max_units_micro",
        "organization_virtual_time",
        "organizations",
        "owed",
        "recent_gpu_ms",
        "slug",
        "tag",
        "terms",
        "waiting",
        "weight",
    )

    def __init__(self, terms: LaneTerms) -> None:
        self.terms, self.slug = terms, terms.slug
        self.weight, self.floor, self.max_running = terms.weight, terms.floor, terms.max_running
        self.max_units_micro = terms.max_units_micro
        self.max_open = terms.max_open if terms.max_open is not None else inf
        self.gap_s, self.burst_s = _rate(terms.per_minute)
        self.key_gap_s, self.key_burst_s = _rate(terms.per_minute_key)
        self.tag = self.owed = self.organization_virtual_time = self.recent_gpu_ms = 0.0
        self.eligible, self.waiting = False, 0
        self.organizations: dict[object, Organization] = {}
        self.heap: list[tuple[float, int, Organization]] = []

    def list_it(self, organization: Organization) -> None:
        """See to it that the heap has an organization that may run under the tag that it has now."""
        tag = organization.tag
        if (
            organization.listed != tag
            and organization.running < self.max_running
            and (organization.waiting or organization.returned)
        ):
            organization.listed = tag
            heappush(self.heap, (tag, organization.place, organization))

    def first(self) -> Organization | None:
        """The organization with the least tag that waits below its cap; entries that no longer hold are dropped."""
        heap, most = self.heap, self.max_running
        while heap:
            tag, _, organization = heap[0]
            if (
                tag == organization.tag
                and organization.running < most
                and (organization.waiting or organization.returned)
                and (self.max_units_micro is None or self._fits(organization))
            ):
                return organization
            heappop(heap)
            if organization.listed == tag:
                organization.listed = None
        return None

    def _fits(self, organization: Organization) -> bool:
        job = organization.next_job()
        return fair_share.fits(organization.units_micro, job.units_micro, self.max_units_micro)


def _rate(per_minute: int | None) -> tuple[float, float]:
    """Seconds between two requests, and how far ahead of that a burst may be: the generic cell rate algorithm with a
    minute's burst, as `billing.limits` has it."""
    return (60.0 / per_minute, 60.0 / per_minute * (per_minute - 1) + 1e-9) if per_minute else (0.0, inf)


class VirtualPool:
    """Lanes, tags and backlog of one pool; `claim` is `dispatch.claim` without a database."""

    def __init__(self, lanes: Iterable[LaneTerms], capacity_units_micro: int | None = None) -> None:
        self.capacity_units_micro, self.units_micro = capacity_units_micro, 0
        self.lanes = {terms.slug: Lane(terms) for terms in lanes}
        self._views = list(self.lanes.values())
        self.virtual_time, self.waiting, self._places, self._at = 0.0, 0, 0, 0.0
        self._to_correct: list[tuple[Lane, Organization, int, float, float]] = []

    def organization(self, lane: Lane, name: object) -> Organization:
        """An organization's place in the lane, made at its first job."""
        found = lane.organizations.get(name)
        if found is None:
            self._places += 1
            found = lane.organizations[name] = Organization(name, self._places)
        return found

    def enqueue(self, lane: Lane, job: Job, now: float) -> None:
        """A new job at the end of its organization's line."""
        organization = job.organization
        if not organization.waiting and not organization.returned:
            organization.backlogged_since = now
        organization.waiting.append(job)
        lane.waiting += 1
        self.waiting += 1
        if organization.listed != organization.tag:
            lane.list_it(organization)

    def claim(self, now: float) -> tuple[Lane, Job] | None:
        """The next job and its lane, or None where nothing may run; tags are charged with the estimate."""
        if now > self._at:
            self._forget(now)
        if self._to_correct:
            self._correct()
        if not self.waiting:
            return None
        for lane in self._views:
            lane.eligible = lane.waiting > 0 and lane.first() is not None
        choice = fair_share.choose_lane(self._views, self.virtual_time)
        if choice is None:
            return None
        lane = self.lanes[choice.slug]
        organization = lane.heap[0][2]
        job = organization.next_job()
        if not fair_share.fits(self.units_micro, job.units_micro, self.capacity_units_micro):
            return None
        if organization.returned:
            del organization.returned[0]
        else:
            organization.waiting.popleft()
        self._charge(lane, organization, choice, job, now)
        return lane, job

    def _charge(
        self, lane: Lane, organization: Organization, choice: fair_share.Choice, job: Job, now: float
    ) -> None:
        estimate = job.estimate_ms
        lane.organization_virtual_time, organization.tag = fair_share.charged_inside(
            organization.tag, lane.organization_virtual_time, estimate, organization.owed
        )
        lane.tag = fair_share.charged(choice.start, estimate, lane.weight)
        if lane.owed or organization.owed:
            lane.owed = fair_share.still_owed(lane.owed, lane.tag, choice.virtual_time)
            organization.owed = fair_share.still_owed(
                organization.owed, organization.tag, lane.organization_virtual_time
            )
        lane.recent_gpu_ms += estimate
        organization.running += 1
        organization.units_micro += job.units_micro
        self.units_micro += job.units_micro
        self.virtual_time = choice.virtual_time
        job.weight = lane.weight
        lane.waiting -= 1
        self.waiting -= 1
        if organization.waiting or organization.returned:
            lane.list_it(organization)
        else:
            organization.backlogged_s += now - organization.backlogged_since

    def ended(self, lane: Lane, job: Job, gpu_ms: float) -> None:
        """An attempt is over after `gpu_ms` on a device; the next claim puts its estimate right."""
        organization = job.organization
        organization.running -= 1
        organization.units_micro -= job.units_micro
        self.units_micro -= job.units_micro
        organization.gpu_ms += gpu_ms
        self._to_correct.append((lane, organization, job.estimate_ms, gpu_ms, job.weight))
        lane.list_it(organization)

    def hand_back(self, lane: Lane, job: Job, gpu_ms: float, now: float) -> None:
        """An attempt is over and its job is not: it goes back to the head of its organization's line."""
        organization = job.organization
        if not organization.waiting and not organization.returned:
            organization.backlogged_since = now
        insort(organization.returned, (job.queued_at, job.number, job))
        lane.waiting += 1
        self.waiting += 1
        self.ended(lane, job, gpu_ms)

    def withdraw(self, lane: Lane, job: Job, now: float) -> None:
        """A waiting job leaves without having run."""
        organization = job.organization
        if job in organization.waiting:
            organization.waiting.remove(job)
        else:
            organization.returned.remove((job.queued_at, job.number, job))
        lane.waiting -= 1
        self.waiting -= 1
        if not organization.waiting and not organization.returned:
            organization.backlogged_s += now - organization.backlogged_since

    def change(self, slug: str, field: str, value: float) -> None:
        """Set a lane's weight, floor or max_running from the next claim on, for the backlog that waits too."""
        if field not in ("weight", "floor", "max_running"):
            raise ValueError(f"a lane has no live setting {field!r}")
        lane = self.lanes[slug]
        setattr(lane, field, value)
        if field == "max_running":
            for organization in lane.organizations.values():
                lane.list_it(organization)

    def _forget(self, now: float) -> None:
        """Recent GPU-time, decayed to now: one factor for all lanes."""
        factor = fair_share.decayed(1.0, now - self._at)
        for lane in self._views:
            lane.recent_gpu_ms *= factor
        self._at = now

    def _correct(self) -> None:
        for lane, organization, charged, actual, weight in self._to_correct:
            if actual != charged:
                lane.tag, lane.owed = fair_share.put_right(
                    lane.tag, self.virtual_time, lane.owed, charged, actual, weight
                )
                lane.recent_gpu_ms = max(0.0, lane.recent_gpu_ms + actual - charged)
                organization.tag, organization.owed = fair_share.put_right(
                    organization.tag,
                    lane.organization_virtual_time,
                    organization.owed,
                    charged,
                    actual,
                    1.0,
                )
                lane.list_it(organization)
        self._to_correct.clear()

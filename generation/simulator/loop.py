"""The event loop: requests arrive, machines take the best job, jobs end, machines break, settings change.

Events are a heap of (time, number, what, subject, fence); an event about an attempt that is over by then names an
old fence and does nothing. Requests are not in the heap: they lie in order already. An event goes before a request
of the same moment.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

from generation.simulator.looks import looks_of
from generation.simulator.pool import Job, Lane, LaneTerms, Organization, VirtualPool
from generation.simulator.scenario import Arrival, Scenario
from generation.simulator.tally import Tally

Handler = Callable[[float, object, int], None]


class Loop:
    """One run of a scenario. `run` goes to the horizon; then the fields are what was found."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.fleet = scenario, scenario.fleet
        self.pool = VirtualPool(scenario.lanes, scenario.capacity_units_micro)
        self.terms: dict[str, LaneTerms] = {terms.slug: terms for terms in scenario.lanes}
        self.tallies = {slug: Tally() for slug in self.terms}
        self.free = list(range(self.fleet.gpus - 1, -1, -1))
        self.at_work: list[tuple[Lane, Job] | None] = [None] * self.fleet.gpus
        self.events: list[tuple[float, int, Handler, object, int]] = []
        self.claims = 0
        self._numbers = count()
        self._jobs = count()
        self._counts_turns = scenario.raising is not None
        for change in scenario.changes:
            self.at(change.at_s, self._change, change)
        for failure in scenario.failures:
            self.at(failure.at_s, self._break, failure)
        for every_s, look in looks_of(self):
            self.at(every_s, self._look, (every_s, look))

    def at(self, moment: float, handler: Handler, subject: object, fence: int = 0) -> None:
        """Let `handler(moment, subject, fence)` run then."""
        heappush(self.events, (moment, next(self._numbers), handler, subject, fence))

    def run(self) -> "Loop":
        events, horizon = self.events, self.scenario.horizon_s
        arrivals = iter(self.scenario.arrivals)
        arrival = next(arrivals, None)
        coming = arrival.at_s if arrival else inf
        while True:
            if events and events[0][0] <= coming:
                now, _, handler, subject, fence = heappop(events)
                if now > horizon:
                    break
                handler(now, subject, fence)
            elif arrival is not None and coming <= horizon:
                self._arrive(arrival)
                arrival = next(arrivals, None)
                coming = arrival.at_s if arrival else inf
            else:
                break
        return self

    def running(self) -> list[tuple[Lane, Job]]:
        """What has a machine now."""
        return [turn for turn in self.at_work if turn is not None]

    def _arrive(self, arrival: Arrival) -> None:
        at_s, slug, name, estimate_ms, run_ms, steps, key, nan_at, units_micro = arrival
        lane = self.pool.lanes[slug]
        organization = lane.organizations.get(name) or self.pool.organization(lane, name)
        tally = self.tallies[slug]
        tally.offered += 1
        if not admitted(lane, organization, key, at_s, tally):
            return
        job = Job(organization, next(self._jobs), at_s, estimate_ms, run_ms, steps, units_micro)
        if nan_at:
            job.nan_at = nan_at
        now = at_s if at_s > 0 else 0.0
        self.pool.enqueue(lane, job, now)
        if self.free:
            self.dispatch(now)

    def dispatch(self, now: float) -> None:
        """Idle machines claim until nothing is left that may run."""
        free, claim, watched = self.free, self.pool.claim, self.scenario.watched
        while free:
            claimed = claim(now)
            if claimed is None:
                return
            lane, job = claimed
            self.claims += 1
            job.machine = machine = free.pop()
            self.at_work[machine] = claimed
            job.began = now
            job.fence += 1
            if job.started_at is None:
                job.started_at = now
                tally = self.tallies[lane.slug]
                if self._counts_turns:
                    organization = job.organization
                    tally.turns.append((now, now - max(job.queued_at, organization.started_at)))
                    organization.started_at = now
                if watched is not None and job.organization.name == watched:
                    tally.watched_waits.append(now - job.queued_at)
                else:
                    tally.waits.append(now - job.queued_at)
            ends, handler = job.left_ms, self._deliver
            if job.nan_at:
                ends, handler = ends - (1.0 - job.nan_at) * job.run_ms, self._blow_up
            over_at = now + ends * 0.001 if ends > 0.0 else now
            heappush(self.events, (over_at, next(self._numbers), handler, claimed, job.fence))

    def _leave(self, now: float, lane: Lane, job: Job) -> float:
        """The machine is free again; the milliseconds that the attempt had it."""
        self.at_work[job.machine] = None
        self.free.append(job.machine)
        spent = (now - job.began) * 1000.0
        self.tallies[lane.slug].gpu_ms += spent
        job.fence += 1
        return spent

    def _deliver(self, now: float, subject: tuple[Lane, Job], fence: int) -> None:
        lane, job = subject
        if job.fence != fence:
            return
        self.pool.ended(lane, job, self._leave(now, lane, job))
        job.organization.open -= 1
        tally, terms = self.tallies[lane.slug], lane.terms
        took = now + self.fleet.finishing_s - job.queued_at
        tally.delivered += 1
        tally.in_system.append(took)
        if terms.target_s is not None and took > terms.target_s:
            tally.late += 1
            tally.credit_micro += terms.credit_micro
        self.dispatch(now)

    def _blow_up(self, now: float, subject: tuple[Lane, Job], fence: int) -> None:
        """A latent that is not finite ends the job, and everything that ran for it is lost."""
        lane, job = subject
        if job.fence != fence:
            return
        done_before = job.run_ms - job.left_ms
        spent = self._leave(now, lane, job)
        tally = self.tallies[lane.slug]
        tally.wasted_nan_ms += spent + done_before
        self._fail(tally, lane, job, spent)
        self.dispatch(now)

    def _fail(self, tally: Tally, lane: Lane, job: Job, spent: float) -> None:
        self.pool.ended(lane, job, spent)
        job.organization.open -= 1
        tally.failed += 1

    def _break(self, now: float, subject: object, fence: int) -> None:
        """A machine dies; what it ran is found when its lease runs out."""
        failure = subject
        turn = self.at_work[failure.machine]
        if turn is not None:
            lane, job = turn
            spent = self._leave(now, lane, job)
            self.tallies[lane.slug].lost_attempts += 1
            self.at(now + self.fleet.lease_s, self._reap, (lane, job, spent))
        elif failure.machine not in self.free:
            return  # it is down already
        self.free.remove(failure.machine)
        self.at(now + failure.down_s, self._repair, failure.machine)

    def _repair(self, now: float, subject: object, fence: int) -> None:
        self.free.append(subject)
        self.dispatch(now)

    def _reap(self, now: float, subject: tuple[Lane, Job, float], fence: int) -> None:
        """The lease of a lost attempt ran out: back to the head with its last checkpoint, or given up."""
        lane, job, spent = subject
        tally = self.tallies[lane.slug]
        lost, lost_without = self.keep(job, spent, self.fleet.checkpoint_steps)
        job.failures += 1
        given_up = job.failures >= self.fleet.most_failures
        tally.wasted_ms += job.run_ms - job.left_ms + lost if given_up else lost
        tally.wasted_without_ms += lost_without
        if given_up:
            self._fail(tally, lane, job, spent)
        else:
            self.pool.hand_back(lane, job, spent, now)
        self.dispatch(now)

    def keep(self, job: Job, spent: float, every_steps: int) -> tuple[float, float]:
        """Set the job back to its last checkpoint after `spent` milliseconds more; what is lost of them, in
        milliseconds, as the fleet is set, and what would be without checkpoints."""
        per_step = job.run_ms / job.steps
        before = job.steps_done
        reached = min(job.steps, before + int(spent / per_step + 1e-6))
        kept = max(before, reached - reached % every_steps) if self.fleet.checkpoints else 0
        job.steps_done = kept
        job.left_ms = job.run_ms - kept * per_step
        return spent - (kept - before) * per_step, spent + before * per_step

    def yield_at_next_step(self, now: float, lane: Lane, job: Job) -> None:
        """A preempted attempt: it ends its step, keeps it and gives its machine back."""
        per_step = job.run_ms / job.steps
        in_step = ((now - job.began) * 1000.0) % per_step
        job.fence += 1
        job.asked = job.fence
        job.yields += 1
        self.at(now + (per_step - in_step) * 0.001, self._give_way, (lane, job), job.fence)

    def _give_way(self, now: float, subject: tuple[Lane, Job], fence: int) -> None:
        lane, job = subject
        if job.fence != fence:
            return
        spent = self._leave(now, lane, job)
        tally = self.tallies[lane.slug]
        lost, lost_without = self.keep(job, spent, 1)
        tally.preempted += 1
        tally.wasted_ms += lost
        tally.wasted_without_ms += lost_without
        self.pool.hand_back(lane, job, spent, now)
        self.dispatch(now)

    def _change(self, now: float, subject: object, fence: int) -> None:
        self.pool.change(subject.lane, subject.field, subject.value)
        self.dispatch(now)

    def _look(self, now: float, subject: object, fence: int) -> None:
        every_s, look = subject
        look(now)
        self.at(now + every_s, self._look, subject)


def admitted(lane: Lane, organization: Organization, key: object, now: float, tally: Tally) -> bool:
    """Whether admission's limits let a request in, counting it if so: requests per minute of the organization and of
    its key, then open jobs. A refused one counts nowhere."""
    if organization.tat - now > lane.burst_s:
        tally.refused_rate += 1
        return False
    if lane.key_gap_s > lane.gap_s:  # else the organization's own limit is the tighter one, whatever the key
        if organization.key_tats is None:
            organization.key_tats = {}
        key_tat = max(organization.key_tats.get(key, 0.0), now)
        if key_tat - now > lane.key_burst_s:
            tally.refused_rate += 1
            return False
    if organization.open >= lane.max_open:
        tally.refused_open += 1
        return False
    organization.open += 1
    if lane.gap_s:
        organization.tat = (organization.tat if organization.tat > now else now) + lane.gap_s
    if lane.key_gap_s > lane.gap_s:
        organization.key_tats[key] = key_tat + lane.key_gap_s
    return True

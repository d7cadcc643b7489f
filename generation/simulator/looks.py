"""What looks at the pool now and then, as the beat does: preemption and the auto-raise rule, by their own policies."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from generation.policy import auto_raise, preemption
from generation.policy.fair_share import LaneView
from generation.simulator.pool import Job, Lane, Organization
from generation.simulator.quantiles import quantile
from generation.simulator.scenario import Preemption, Raising

if TYPE_CHECKING:
    from generation.simulator.loop import Loop

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # policy thinks in moments; any will do


def looks_of(loop: "Loop") -> list[tuple[float, Callable[[float], None]]]:
    """How often each of the scenario's rules looks, and what it does then."""
    looks: list[tuple[float, Callable[[float], None]]] = []
    if loop.scenario.preemption:
        looks.append((loop.scenario.preemption.look_every_s, Preempting(loop, loop.scenario.preemption).look))
    if loop.scenario.raising:
        looks.append((loop.scenario.raising.look_every_s, AutoRaise(loop, loop.scenario.raising).look))
    return looks


@dataclass
class Preempting:
    loop: "Loop"
    settings: Preemption

    def look(self, now: float) -> None:
        """Ask whom the policy says to give way."""
        overdue = [found for lane in self.loop.pool.lanes.values() if (found := self._overdue(lane, now))]
        if not overdue:
            return
        running = self.loop.running()
        turns = [self._turn(number, lane, job, now) for number, (lane, job) in enumerate(running)]
        pool = self.loop.pool
        asked = preemption.who_yields(
            overdue, turns, len(self.loop.free), _views(pool.lanes), pool.virtual_time, self.settings.terms
        )
        for yielding in asked:
            self.loop.yield_at_next_step(now, *running[yielding.attempt_id])

    def _overdue(self, lane: Lane, now: float) -> preemption.Overdue | None:
        if lane.terms.preemptible or not lane.waiting:
            return None
        jobs, longest = 0, 0.0
        for organization in lane.organizations.values():
            room = lane.max_running - organization.running
            for job in _in_line(organization)[: max(0, room)]:
                waited = now - job.queued_at
                if waited > self.settings.after_s:
                    jobs, longest = jobs + 1, max(longest, waited)
        return preemption.Overdue(lane.slug, jobs, longest) if jobs else None

    def _turn(self, number: int, lane: Lane, job: Job, now: float) -> preemption.Turn:
        ran = (now - job.began) * 1000.0
        left = max(0.0, job.left_ms - ran)
        return preemption.Turn(
            attempt_id=number,
            lane=lane.slug,
            preemptible=lane.terms.preemptible,
            done=1.0 - left / job.run_ms,
            left_s=left / 1000.0,
            preemptions=job.yields,
            asked=job.asked == job.fence,
            charged_gpu_ms=job.estimate_ms,
            ran_gpu_ms=ran,
            charged_weight=job.weight,
        )


@dataclass
class AutoRaise:
    """The rule's own override per lane; the weight before it is the baseline it returns to."""

    loop: "Loop"
    settings: Raising
    raised: dict[str, auto_raise.Raised] = field(default_factory=dict)

    def look(self, now: float) -> None:
        """Let the rule decide for each lane, and end what it set where that has run out."""
        moment = BEGINNING + timedelta(seconds=now)
        for slug, rule in self.settings.rules.items():
            lane = self.loop.pool.lanes[slug]
            standing = self.raised.get(slug)
            if standing and standing.until <= moment:
                del self.raised[slug]
                standing = None
                self.loop.pool.change(slug, "weight", lane.terms.weight)
            others = lane.weight if standing is None and lane.weight != lane.terms.weight else None
            seen = auto_raise.Seen(self._p95(lane, now), lane.terms.weight, standing, others, None)
            found = auto_raise.decide(rule, seen, moment)
            if found:
                since = moment if found.higher or standing is None else standing.at
                self.raised[slug] = auto_raise.Raised(found.weight, since, found.until)
                self.loop.tallies[slug].raises += found.higher
                self.loop.pool.change(slug, "weight", found.weight)

    def _p95(self, lane: Lane, now: float) -> float | None:
        """As `queue_waits` has it: the turns that ended lately, and those that last, with their age."""
        ended = self.loop.tallies[lane.slug].turns
        waits = [wait for _, wait in ended[bisect_left(ended, (now - self.settings.window_s,)) :]]
        for organization in lane.organizations.values():
            first = next((job for job in _in_line(organization) if job.started_at is None), None)
            if first is not None:
                waits.append(now - max(first.queued_at, organization.started_at))
        return quantile(waits, 0.95) if waits else None


def still_waiting(lane: Lane) -> list[Job]:
    """The jobs of a lane that have not started yet."""
    return [
        job
        for organization in lane.organizations.values()
        for job in _in_line(organization)
        if job.started_at is None
    ]


def _in_line(organization: Organization) -> list[Job]:
    return [job for _, _, job in organization.returned] + list(organization.waiting)


def _views(lanes: dict[str, Lane]) -> list[LaneView]:
    return [
        LaneView(
            slug, lane.tag, lane.weight, lane.floor, lane.recent_gpu_ms, lane.first() is not None, lane.owed
        )
        for slug, lane in lanes.items()
    ]

"""What a run comes to, as plain figures: seconds, shares of one, GPU-seconds, micro-credits, micro-dollars."""

from dataclasses import dataclass

from generation.simulator.looks import still_waiting
from generation.simulator.loop import Loop
from generation.simulator.pool import Lane, Organization
from generation.simulator.quantiles import jain, quantiles
from generation.simulator.scenario import Scenario

LEAST_BACKLOG = 0.1  # of the span: an organization or lane that waited less isn't compared with the others


@dataclass(frozen=True)
class LaneReport:
    """One lane over the whole span. Waits are of jobs that started and, with their age, of those that still wait
    (without those of an organization that is watched);
    times in system are of delivered jobs. `share` is of all GPU-time that was given. `jain` is between its
    organizations that waited a tenth of the span or longer: GPU-seconds per second of waiting."""

    lane: str
    tier: str
    offered: int
    refused_rate: int
    refused_open: int
    started: int
    delivered: int
    failed: int
    waiting: int
    running: int
    wait_p50_s: float | None
    wait_p95_s: float | None
    wait_p99_s: float | None
    system_p50_s: float | None
    system_p95_s: float | None
    gpu_s: float
    share: float
    late: int
    credits_micro: int
    preempted: int
    lost_attempts: int
    raises: int
    jain: float | None


@dataclass(frozen=True)
class Watched:
    """The organization that a scenario watches, apart from the others of its lane."""

    organization: str
    lane: str
    started: int
    waiting: int
    wait_p95_s: float | None
    gpu_s: float


@dataclass(frozen=True)
class Report:
    """The run. `wasted_gpu_s` ran and had to run again (or was given up) as the fleet is set, and beside it what the
    same losses come to without checkpoints; `wasted_nan_gpu_s` was lost to blow-ups, which no checkpoint saves.
    `jain_lanes` is between lanes that waited: GPU-seconds ÷ weight per second in which they did.
    `cost_micro_dollars` is every machine for the whole span, busy or not."""

    scenario: str
    words: str
    gpus: int
    hours: float
    checkpoints: bool
    jobs: int
    claims: int
    utilization: float
    jain_lanes: float | None
    wasted_gpu_s: float
    wasted_without_checkpoints_gpu_s: float
    wasted_nan_gpu_s: float
    sla_credits_micro: int
    cost_micro_dollars: int
    cost_per_clip_micro_dollars: int | None
    lanes: list[LaneReport]
    watched: Watched | None = None

    def lane(self, slug: str) -> LaneReport:
        return next(lane for lane in self.lanes if lane.lane == slug)


def simulate(scenario: Scenario) -> Report:
    """Run it and report."""
    return report_of(Loop(scenario).run())


def report_of(loop: Loop) -> Report:
    """The figures of a loop that has run to its horizon."""
    scenario, horizon = loop.scenario, loop.scenario.horizon_s
    _close(loop, horizon)
    given = sum(tally.gpu_ms for tally in loop.tallies.values())
    lanes = [_lane_report(loop, lane, given) for lane in loop.pool.lanes.values()]
    delivered = sum(lane.delivered for lane in lanes)
    cost = round(scenario.fleet.gpus * horizon / 3600 * scenario.fleet.gpu_hour_micro_dollars)
    tallies = loop.tallies.values()
    return Report(
        scenario=scenario.name,
        words=scenario.words,
        gpus=scenario.fleet.gpus,
        hours=horizon / 3600,
        checkpoints=scenario.fleet.checkpoints,
        jobs=sum(lane.offered for lane in lanes),
        claims=loop.claims,
        utilization=given / 1000 / (scenario.fleet.gpus * horizon),
        jain_lanes=jain(
            [
                sum(o.gpu_ms for o in lane.organizations.values()) / lane.weight / waited
                for lane in loop.pool.lanes.values()
                if (waited := _waited(lane, horizon)) >= LEAST_BACKLOG * horizon
            ]
        ),
        wasted_gpu_s=sum(tally.wasted_ms for tally in tallies) / 1000,
        wasted_without_checkpoints_gpu_s=sum(tally.wasted_without_ms for tally in tallies) / 1000,
        wasted_nan_gpu_s=sum(tally.wasted_nan_ms for tally in tallies) / 1000,
        sla_credits_micro=sum(lane.credits_micro for lane in lanes),
        cost_micro_dollars=cost,
        cost_per_clip_micro_dollars=cost // delivered if delivered else None,
        lanes=lanes,
        watched=_watched(loop),
    )


def _close(loop: Loop, horizon: float) -> None:
    """Count what is under way at the end: machines at work, organizations that still wait."""
    for lane, job in loop.running():
        spent = (horizon - job.began) * 1000.0
        loop.tallies[lane.slug].gpu_ms += spent
        job.organization.gpu_ms += spent
    for lane in loop.pool.lanes.values():
        for organization in lane.organizations.values():
            if organization.waiting or organization.returned:
                organization.backlogged_s += horizon - organization.backlogged_since


def _lane_report(loop: Loop, lane: Lane, given: float) -> LaneReport:
    tally, horizon = loop.tallies[lane.slug], loop.scenario.horizon_s
    watched = lane.organizations.get(loop.scenario.watched)
    unstarted = [job for job in still_waiting(lane) if job.organization is not watched]
    waits = tally.waits + [horizon - job.queued_at for job in unstarted]
    wait_p50, wait_p95, wait_p99 = quantiles(waits, (0.5, 0.95, 0.99))
    system_p50, system_p95 = quantiles(tally.in_system, (0.5, 0.95))
    return LaneReport(
        lane=lane.slug,
        tier=lane.terms.tier,
        offered=tally.offered,
        refused_rate=tally.refused_rate,
        refused_open=tally.refused_open,
        started=len(tally.waits) + len(tally.watched_waits),
        delivered=tally.delivered,
        failed=tally.failed,
        waiting=lane.waiting,
        running=sum(o.running for o in lane.organizations.values()),
        wait_p50_s=wait_p50,
        wait_p95_s=wait_p95,
        wait_p99_s=wait_p99,
        system_p50_s=system_p50,
        system_p95_s=system_p95,
        gpu_s=tally.gpu_ms / 1000,
        share=tally.gpu_ms / given if given else 0.0,
        late=tally.late,
        credits_micro=tally.credit_micro,
        preempted=tally.preempted,
        lost_attempts=tally.lost_attempts,
        raises=tally.raises,
        jain=jain([_rate(o) for o in lane.organizations.values() if _compared(o, horizon)]),
    )


def _watched(loop: Loop) -> Watched | None:
    name, horizon = loop.scenario.watched, loop.scenario.horizon_s
    for lane in loop.pool.lanes.values():
        organization = lane.organizations.get(name)
        if name is not None and organization is not None:
            waiting = [job for job in still_waiting(lane) if job.organization is organization]
            started = loop.tallies[lane.slug].watched_waits
            waits = started + [horizon - job.queued_at for job in waiting]
            (p95,) = quantiles(waits, (0.95,))
            return Watched(str(name), lane.slug, len(started), len(waiting), p95, organization.gpu_ms / 1000)
    return None


def _compared(organization: Organization, horizon: float) -> bool:
    return organization.backlogged_s >= LEAST_BACKLOG * horizon


def _rate(organization: Organization) -> float:
    return organization.gpu_ms / organization.backlogged_s


def _waited(lane: Lane, horizon: float) -> float:
    """How long the lane waited, at least: as long as the organization that waited longest."""
    return min(horizon, max((o.backlogged_s for o in lane.organizations.values()), default=0.0))

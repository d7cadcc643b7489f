"""What a change of a lane would do: the recorded jobs of the last hour, simulated as they are set now and as proposed.

Recorded are the jobs of the pool that started in the last hour and those that wait now, each when it came, at what its
claim charges and what its attempts really took. Left out are those that left without having started. Both runs begin
an hour ago with an empty pool and as many machines as the pool has slots now, under the lanes' and the pool's settings
of now (caps, capacity, preemption); changes that were made meanwhile are not replayed, and the auto-raise rule rests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from django.db import connection

from generation.models import Kind, Lane, Pool, RegisteredModel
from generation.policy.preemption import Terms
from generation.scheduling import lane_settings, pool_settings
from generation.simulator.pool import LaneTerms
from generation.simulator.report import LaneReport, Report, simulate
from generation.simulator.scenario import Arrival, Fleet, Preemption, Scenario

SPAN = timedelta(hours=1)
MOST_JOBS = 5_000  # of a preview: two runs of so many take well under two seconds
LEAST_JOBS = 20  # fewer say nothing about shares
SEED = 20_261_121
MADE_UP_LOAD = 1.5  # of what the machines can do, so that there is something to share
MADE_UP_STEPS = {"free": 30}
PAID_STEPS, CODE_TOKENS = 50, 200

RECORDED = """
WITH came AS (
  (SELECT j.id FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
    WHERE l.pool_id = %(pool)s AND j.started_at >= %(since)s ORDER BY j.started_at DESC LIMIT %(most)s)
  UNION
  (SELECT j.id FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
    WHERE l.pool_id = %(pool)s AND j.state IN ('screening', 'queued') AND j.started_at IS NULL
    ORDER BY j.queued_at LIMIT %(most)s)
)
SELECT j.queued_at, j.lane_id, j.organization_id, j.estimate_gpu_ms, j.steps, j.units_micro,
       CASE WHEN j.finished_at IS NOT NULL
            THEN (SELECT sum(a.gpu_ms) FROM generation_attempt a WHERE a.job_id = j.id) END
  FROM came JOIN generation_job j USING (id) ORDER BY j.queued_at DESC, j.id LIMIT %(most)s
"""

SLOTS = """
SELECT coalesce(sum(slots), 0)::int FROM generation_worker
 WHERE pool_id = %s AND stopped_at IS NULL AND desired = 'run' AND seen_at > %s
"""
SEEN_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Trace:
    """What is simulated: arrivals in order, how long a span they cover, on how many machines, and words about it."""

    pool: str
    arrivals: Sequence[Arrival]
    span_s: float
    slots: int
    made_up: bool
    words: str


@dataclass(frozen=True)
class LaneEffect:
    """One lane as it would have been: `now` under the settings in force, `then` under the proposed one."""

    slug: str
    name: str
    tier: str
    changed: bool
    now: LaneReport
    then: LaneReport


@dataclass(frozen=True)
class Effect:
    """A change beside the present: per lane, and in a sentence."""

    trace: Trace
    lanes: list[LaneEffect]
    sentence: str


def effect(lane_slug: str, field: str, value: float, now: datetime) -> Effect:
    """The change of one lane's `field` (weight, floor, max_running), simulated; at most twelve queries.

    Raises KeyError for a lane that there isn't: an action's own preview says so first.
    """
    lanes = lane_settings.lanes()
    changed = next((lane for lane in lanes if lane.slug == lane_slug), None)
    if changed is None:
        raise KeyError(lane_slug)
    lanes = [lane for lane in lanes if lane.pool_id == changed.pool_id]
    trace = recent(changed.pool_id, lanes, now)
    terms = [terms_of(lane, now) for lane in lanes]
    proposed = [replace(one, **{field: value}) if one.slug == lane_slug else one for one in terms]
    rules = rules_of(changed.pool_id, trace.slots, now)
    before, after = (simulate(scenario_of(trace, set_so, rules)) for set_so in (terms, proposed))
    effects = [
        LaneEffect(
            lane.slug,
            lane.tier.name,
            lane.tier_id,
            lane.slug == lane_slug,
            before.lane(lane.slug),
            after.lane(lane.slug),
        )
        for lane in lanes
    ]
    return Effect(trace, effects, _sentence(effects, trace))


def replay(pool_slug: str, now: datetime) -> Report:
    """The last hour of a pool as recorded, under the settings in force."""
    lanes = lane_settings.lanes(pool_slug)
    trace = recorded(pool_slug, now)
    terms = [terms_of(lane, now) for lane in lanes]
    return simulate(scenario_of(trace, terms, rules_of(pool_slug, trace.slots, now)))


def recent(pool_slug: str, lanes: Sequence[Lane], now: datetime) -> Trace:
    """What was recorded, or a made-up span where that is too little to say anything."""
    found = recorded(pool_slug, now)
    return found if len(found.arrivals) >= LEAST_JOBS else made_up(found, lanes)


def recorded(pool_slug: str, now: datetime) -> Trace:
    """The newest jobs of the last hour, at most `MOST_JOBS`; two queries."""
    since = now - SPAN
    with connection.cursor() as cursor:
        cursor.execute(SLOTS, [pool_slug, now - SEEN_WITHIN])
        slots = max(1, cursor.fetchone()[0])
        cursor.execute(RECORDED, {"pool": pool_slug, "since": since, "most": MOST_JOBS})
        rows = cursor.fetchall()[::-1]
    if len(rows) == MOST_JOBS:  # the older ones were cut off: begin where these do
        since = max(since, rows[0][0])
    arrivals = [
        Arrival(
            (queued_at - since).total_seconds(),
            lane,
            organization,
            estimate,
            max(1, int(took or estimate)),
            max(1, steps),
            units_micro=units,
        )
        for queued_at, lane, organization, estimate, steps, units, took in rows
    ]
    span = (now - since).total_seconds()
    words = f"{_jobs(len(arrivals))} of the last {span / 60:.0f} min on {_slots(slots)}."
    return Trace(pool_slug, arrivals, span, slots, made_up=False, words=words)


def made_up(found: Trace, lanes: Sequence[Lane]) -> Trace:
    """A stated stand-in, scaled to the pool: every lane asks for as much GPU-time as the others, together for half as
    much again as the machines can do, by three organizations per slot and lane. The same at every call."""
    chance, each_s = Random(SEED), found.slots * MADE_UP_LOAD / len(lanes)
    costs = _typical(found.pool, lanes)
    per_s = sum(each_s / (estimate / 1000) for estimate, _ in costs.values())
    span = min(SPAN.total_seconds(), MOST_JOBS / per_s)
    arrivals = []
    for slug, (estimate, steps) in costs.items():
        at_s = chance.expovariate(each_s / (estimate / 1000))
        while at_s < span:
            organization = chance.randrange(3 * found.slots)
            run = max(1, round(estimate * chance.uniform(0.9, 1.1)))
            arrivals.append(Arrival(at_s, slug, organization, estimate, run, steps))
            at_s += chance.expovariate(each_s / (estimate / 1000))
    arrivals.sort(key=lambda arrival: arrival.at_s)
    words = (
        f"{_few(len(found.arrivals))} in the last hour, too few to tell. This is a made-up one of "
        f"{span / 60:.0f} min on {_slots(found.slots)}: {len(arrivals)} jobs, every lane asking for the same GPU time, "
        f"together for {MADE_UP_LOAD:g} times what there is."
    )
    return replace(found, arrivals=arrivals, span_s=span, made_up=True, words=words)


def terms_of(lane: Lane, now: datetime) -> LaneTerms:
    """A lane's settings in force, as the simulator takes them; nothing is refused, what is recorded was admitted."""
    settings = lane_settings.effective(lane, now)
    return LaneTerms(
        slug=lane.slug,
        tier=lane.tier_id,
        weight=settings.weight,
        floor=settings.floor,
        max_running=settings.max_running,
        max_units_micro=settings.max_units_micro,
        preemptible=lane.preemptible,
    )


@dataclass(frozen=True)
class Rules:
    """A pool's settings in force, as the simulator takes them."""

    preemption: Preemption | None
    capacity_units_micro: int | None


def rules_of(pool_slug: str, slots: int, now: datetime) -> Rules:
    """Two queries. Upkeep looks once a second who is to give way; of a large pool that would take too long here."""
    settings = pool_settings.of_pool(pool_slug, now)
    preempting = None
    if settings.most_preemptions:
        terms = Terms(settings.most_preemptions, settings.soon_s)
        preempting = Preemption(settings.preempt_after_s, terms, max(1.0, slots / 100))
    return Rules(preempting, settings.capacity_units_micro)


def scenario_of(trace: Trace, lanes: Sequence[LaneTerms], rules: Rules) -> Scenario:
    return Scenario(
        "last-hour",
        trace.words,
        trace.span_s,
        Fleet(trace.slots),
        lanes,
        trace.arrivals,
        preemption=rules.preemption,
        capacity_units_micro=rules.capacity_units_micro,
    )


def _typical(pool_slug: str, lanes: Sequence[Lane]) -> dict[str, tuple[int, int]]:
    """Lane → GPU-milliseconds and steps of a usual job, by the pool's active model that was registered first."""
    kind = Pool.objects.values_list("kind", flat=True).get(pk=pool_slug)
    model = RegisteredModel.objects.filter(pool=pool_slug, status="active").order_by("pk").first()
    fixed, each = (model.gpu_ms_fixed, model.gpu_ms_per_step) if model else (1_000, 50)
    found = {}
    for lane in lanes:
        steps = CODE_TOKENS if kind == Kind.CODE else MADE_UP_STEPS.get(lane.tier_id, PAID_STEPS)
        found[lane.slug] = (max(1, fixed + each * steps), steps)
    return found


def _sentence(effects: Sequence[LaneEffect], trace: Trace) -> str:
    """The changed lane, and the one that pays most for it or gains most by it."""
    (changed,) = [one for one in effects if one.changed]
    others = [one for one in effects if not one.changed]
    if all(abs(_p95(one.then) - _p95(one.now)) < 0.05 for one in effects):
        idle = " Nobody waited long enough to tell." if max(_p95(one.now) for one in effects) < 1 else ""
        return f"No lane's p95 wait changes.{idle}"
    most = max(others, key=lambda one: abs(_p95(one.then) - _p95(one.now)), default=None)
    said = [_wait(changed), *([_wait(most)] if most else [])]
    return f"p95 wait: {', '.join(said)}."


def _wait(one: LaneEffect) -> str:
    return f"{one.name} {_seconds(_p95(one.now))} → {_seconds(_p95(one.then))}"


def _p95(report: LaneReport) -> float:
    return report.wait_p95_s or 0.0


def _seconds(value: float) -> str:
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 600 else f"{value / 60:,.0f} min"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _few(count: int) -> str:
    return f"Only {_jobs(count)}" if count else "No job"


def _slots(count: int) -> str:
    return "1 slot" if count == 1 else f"{count} slots"

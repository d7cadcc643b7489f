"""Where a job stands: its place in the queue, when it should be ready, and why it waits."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from accounts import batch
from generation.models import Attempt, Job, Lane, LaneOverride, State
from generation.policy import fair_share
from generation.scheduling import lane_settings

# What waits ahead of a job in its lane: all of its own organization, and of every other one at most as many plus one,
# because organizations take turns, whoever came first. Then slots and what runs of the pool, and whether it is paused.
OWN_BEFORE = """
WITH own AS (
  SELECT count(*) AS ahead FROM generation_job
   WHERE lane_id = %s AND organization_id = %s AND state = 'queued' AND id <> %s
     AND (ahead_of_lane OR queued_at < %s))
"""
# A job that came just now is behind all others of its organization, of which there may be thousands.
OWN_OTHERS = """
WITH own AS (
  SELECT coalesce((SELECT greatest(0, waiting - 1) FROM generation_laneorganization
                    WHERE lane_id = %s AND organization_id = %s), 0) AS ahead)
"""
AHEAD = """
SELECT own.ahead,
  (SELECT coalesce(sum(least(o.waiting, own.ahead + 1)), 0)::bigint FROM generation_laneorganization o
    WHERE o.lane_id = %s AND o.waiting > 0 AND o.organization_id <> %s),
  (SELECT coalesce(sum(slots), 0)::bigint FROM generation_worker
    WHERE pool_id = %s AND stopped_at IS NULL AND desired = 'run'),
  (SELECT count(*) FROM generation_attempt a JOIN generation_lane l ON l.slug = a.lane_id
    WHERE a.ended_at IS NULL AND l.pool_id = %s),
  coalesce((SELECT o.value = 'true' FROM generation_pooloverride o
             WHERE o.pool_id = %s AND o.field = 'paused' AND o.removed_at IS NULL
               AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
             ORDER BY o.created_at DESC, o.id DESC LIMIT 1), false)
  FROM own
"""

# The lanes of a pool, whether something waits in them, and the overrides that stand.
LANES = f"""
SELECT EXISTS (SELECT 1 FROM generation_laneorganization o WHERE o.lane_id = l.slug AND o.waiting > 0),
       {batch.columns(Lane, "l")} FROM generation_lane l WHERE l.pool_id = %s
"""
OVERRIDES = f"""
SELECT {batch.columns(LaneOverride, "o")} FROM generation_laneoverride o JOIN generation_lane l ON l.slug = o.lane_id
 WHERE l.pool_id = %s AND o.removed_at IS NULL ORDER BY o.id
"""

# What the finished jobs of the same model took from claim to delivery: the middle and the spread of the last ones.
RECENT = """
SELECT percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY seconds)
  FROM (SELECT extract(epoch FROM finished_at - started_at) AS seconds FROM generation_job
         WHERE model_id = %s AND state = 'delivered' AND started_at IS NOT NULL
         ORDER BY finished_at DESC LIMIT 20) AS recent
"""
PAUSED = "This pool is paused for the moment; the job keeps its place and starts when it goes on."
UNMEASURED_SPREAD = (0.5, 1.0, 2.0)  # of the registry's estimate, until something was measured


@dataclass(frozen=True)
class Standing:
    """`position` counts from 1 among the jobs that wait in the lane; the times are seconds from now."""

    position: int | None
    eta_s: float | None
    eta_low_s: float | None
    eta_high_s: float | None
    reason: str


def standing(job: Job) -> Standing:
    """Two round trips at most. A job that has ended, or waits for a person, has no estimate."""
    if job.state == State.RUNNING or job.state == State.FINISHING:
        return _running(job)
    if job.state == State.QUEUED:
        return _queued(job)
    reasons = {
        State.SCREENING: "The input is being checked.",
        State.HELD: "The clip is ready and waits for signing, which is not available right now. It is tried again by "
        "itself; after 15 minutes the job would fail, and nothing would be charged.",
        State.REVIEW: "A person decides on this clip, within a day.",
    }
    return Standing(None, None, None, None, reasons.get(job.state, ""))


def _running(job: Job) -> Standing:
    (measured,) = batch.read([(RECENT, (job.model_id,))])
    low, middle, high = _service_seconds(job, measured[0][0])
    attempt = Attempt.objects.filter(job=job, ended_at=None).values("started_at").first()
    gone = (timezone.now() - attempt["started_at"]).total_seconds() if attempt else 0.0
    left = [max(0.5, seconds - gone) for seconds in (middle, low, high)]
    return Standing(None, *left, "Being made now.")


def _queued(job: Job) -> Standing:
    """How long the lane's share of the pool takes for what waits ahead of it, from the estimates at claim time.

    It assumes that the lanes that wait now go on waiting, each served by its weight, and that inside the lane
    organizations take turns: so at most as many of another organization's jobs go first as of one's own.
    """
    lane, own, pool, at = job.lane_id, job.organization_id, job.lane.pool_id, job.queued_at
    if getattr(job, "just_submitted", False):
        ahead = OWN_OTHERS + AHEAD, (lane, own, lane, own, pool, pool, pool)
    else:
        ahead = OWN_BEFORE + AHEAD, (lane, own, job.pk, at, lane, own, pool, pool, pool)
    crowd, lanes, overrides, measured = batch.read(
        [
            ahead,
            (LANES, (pool,)),
            (OVERRIDES, (pool,)),
            (RECENT, (job.model_id,)),
        ]
    )
    own_ahead, others_ahead, live, running, paused = crowd[0]
    position, slots = 1 + own_ahead + others_ahead, max(1, live)
    seconds = _service_seconds(job, measured[0][0])
    share = _share(lane, lanes, overrides, timezone.now())
    busy = seconds[1] / 2 if running >= slots else 0.0
    low, middle, high = ((position - 1) * one / (slots * share) + busy + one for one in seconds)
    why = PAUSED if paused else _why(job, position, running, live)
    return Standing(position, middle, low, high, why)


def _why(job: Job, position: int, running: int, slots: int) -> str:
    if not slots:
        return "No worker of this pool is running right now; the job starts when one does."
    if position > 1:
        return f"{position - 1} ahead in the {job.lane.tier.name} lane."
    if running >= slots:
        return "Every worker of this pool is busy; this job is next in its lane."
    return "Next to start."


def _share(own: str, lanes: list[tuple], overrides: list[tuple], now: datetime) -> float:
    """The part of the pool that the lane gets while the other lanes that wait now go on waiting."""
    standing_overrides = [batch.instance(LaneOverride, row) for row in overrides]
    views = []
    for waits, *row in lanes:
        lane = batch.instance(Lane, row)
        lane.standing_overrides = [one for one in standing_overrides if one.lane_id == lane.slug]
        weight = lane_settings.effective(lane, now).weight
        views.append(
            fair_share.LaneView(lane.slug, lane.tag, weight, lane.floor, 0.0, waits or lane.slug == own)
        )
    return fair_share.fair_shares(views)[own]


def _service_seconds(job: Job, measured: list | None) -> tuple[float, float, float]:
    """Seconds from claim to delivery: low, middle, high."""
    if measured:
        low, middle, high = (float(seconds) for seconds in measured)
        return low, middle, high
    estimate = job.estimate_gpu_ms / 1000
    low, middle, high = (estimate * factor for factor in UNMEASURED_SPREAD)
    return low, middle, high

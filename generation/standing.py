"""Where a job stands: its place in the queue, when it should be ready, and why it waits."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, OuterRef
from django.utils import timezone

from generation import dispatch
from generation.models import Attempt, Job, State, Worker
from generation.policy import fair_share

# What the finished jobs of the same model took from claim to delivery: the middle and the spread of the last ones.
RECENT = """
SELECT percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY seconds)
  FROM (SELECT extract(epoch FROM finished_at - started_at) AS seconds FROM generation_job
         WHERE model_id = %s AND state = 'delivered' AND started_at IS NOT NULL
         ORDER BY finished_at DESC LIMIT 20) AS recent
"""
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
    """Nine queries at most. A job that has ended, or waits for a person, has no estimate."""
    if job.state == State.RUNNING or job.state == State.FINISHING:
        return _running(job)
    if job.state == State.QUEUED:
        return _queued(job)
    reasons = {
        State.SCREENING: "The input is being checked.",
        State.HELD: "The clip is ready and waits for signing, which is not available right now.",
        State.REVIEW: "A person decides on this clip, within a day.",
    }
    return Standing(None, None, None, None, reasons.get(job.state, ""))


def _running(job: Job) -> Standing:
    low, middle, high = _service_seconds(job)
    attempt = Attempt.objects.filter(job=job, ended_at=None).values("started_at").first()
    gone = (timezone.now() - attempt["started_at"]).total_seconds() if attempt else 0.0
    left = [max(0.5, seconds - gone) for seconds in (middle, low, high)]
    return Standing(None, *left, "Being made now.")


def _queued(job: Job) -> Standing:
    """How long the lane's share of the pool takes for what waits ahead of it, from the estimates at claim time.

    It assumes that the lanes that wait now go on waiting, each served by its weight, and that inside the lane
    organizations take turns: so at most as many of another organization's jobs go first as of one's own.
    """
    now = timezone.now()
    own_ahead = _ahead(job).filter(organization=job.organization_id).count()
    others = _ahead(job).exclude(organization=job.organization_id).values_list("organization", flat=True)
    counts: dict[int, int] = {}
    for organization in others[:5000]:
        counts[organization] = counts.get(organization, 0) + 1
    position = 1 + own_ahead + sum(min(count, own_ahead + 1) for count in counts.values())
    low, middle, high = _service_seconds(job)
    slots = max(1, _slots(job))
    share = _share(job, now)
    waits = [(position - 1) * seconds / (slots * share) for seconds in (middle, low, high)]
    running = Attempt.objects.filter(ended_at=None, lane__pool=job.lane.pool_id).count()
    busy = middle / 2 if running >= slots else 0.0
    eta = [wait + busy + seconds for wait, seconds in zip(waits, (middle, low, high), strict=True)]
    return Standing(position, *eta, _why(job, position, running, slots))


def _ahead(job: Job):
    waiting = Job.objects.filter(lane=job.lane_id, state=State.QUEUED)
    return waiting.filter(queued_at__lt=job.queued_at) | waiting.filter(ahead_of_lane=True).exclude(pk=job.pk)


def _why(job: Job, position: int, running: int, slots: int) -> str:
    if not _slots(job):
        return "No worker of this pool is running right now; the job starts when one does."
    if position > 1:
        return f"{position - 1} ahead in the {job.lane.tier.name} lane."
    if running >= slots:
        return "Every worker of this pool is busy; this job is next in its lane."
    return "Next to start."


def _slots(job: Job) -> int:
    live = Worker.objects.filter(pool=job.lane.pool_id, stopped_at=None, desired=Worker.Desired.RUN)
    return sum(live.values_list("slots", flat=True))


def _share(job: Job, now) -> float:
    """The part of the pool that the lane gets while the other lanes that wait now go on waiting."""
    waiting = Job.objects.filter(lane=OuterRef("pk"), state=State.QUEUED)
    backlogged = set(
        type(job.lane).objects.filter(Exists(waiting), pool=job.lane.pool_id).values_list("pk", flat=True)
    )
    views = dispatch.lane_views(job.lane.pool_id, now, backlogged | {job.lane_id})
    return fair_share.fair_shares(views)[job.lane_id]


def _service_seconds(job: Job) -> tuple[float, float, float]:
    """Seconds from claim to delivery: low, middle, high."""
    with connection.cursor() as cursor:
        cursor.execute(RECENT, [job.model_id])
        measured = cursor.fetchone()[0]
    if measured:
        return tuple(float(seconds) for seconds in measured)
    estimate = job.estimate_gpu_ms / 1000
    return tuple(estimate * factor for factor in UNMEASURED_SPREAD)

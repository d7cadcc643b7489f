"""Who gets the next job: one claim is one transaction.

The pool's row is locked for the length of a claim, so that tags are read and written by one claim at a time; jobs
are taken with SKIP LOCKED, so that a cancellation under way never blocks it. Lane settings are read here, inside the
claim: that is why a live change needs no broadcast. The next claim puts the estimate of an ended attempt right.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction

from generation import lane_settings
from generation.models import Attempt, Job, Lane, LaneOrganization, Pool, State, Worker
from generation.policy import fair_share
from generation.policy.fair_share import LaneView

HAS_ELIGIBLE = """
SELECT EXISTS (SELECT 1 FROM generation_laneorganization
                WHERE lane_id = %s AND waiting > 0 AND running < %s AND organization_id <> ALL (%s))
"""

NEXT_ORGANIZATION = """
SELECT id, organization_id, tag FROM generation_laneorganization
 WHERE lane_id = %s AND waiting > 0 AND running < %s AND organization_id <> ALL (%s)
 ORDER BY tag, id LIMIT 1
"""

NEXT_JOB = """
SELECT id FROM generation_job
 WHERE lane_id = %s AND organization_id = %s AND state = 'queued'
 ORDER BY ahead_of_lane DESC, queued_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

ORPHAN = """
SELECT j.id FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
 WHERE j.state = 'finishing' AND l.pool_id = %s
   AND NOT EXISTS (SELECT 1 FROM generation_attempt a WHERE a.job_id = j.id AND a.ended_at IS NULL)
 ORDER BY j.queued_at LIMIT 1 FOR UPDATE OF j SKIP LOCKED
"""

TO_CORRECT = """
UPDATE generation_attempt SET corrected = true
 WHERE ended_at IS NOT NULL AND NOT corrected AND lane_id = ANY (%s)
RETURNING lane_id, organization_id, charged_gpu_ms, gpu_ms, charged_weight
"""

NEW_ATTEMPT = """
INSERT INTO generation_attempt (job_id, worker_id, lane_id, organization_id, fence, lease_seconds, lease_expires_at,
    started_at, outcome, detail, step, stage, resumed_from_step, checkpoints, preview, device, threads, stages,
    refused_checkpoints, charged_gpu_ms, charged_weight, gpu_ms, corrected)
SELECT j.id, %(worker)s, j.lane_id, j.organization_id, nextval('generation_fence'), m.lease_seconds,
       clock_timestamp() + make_interval(secs => m.lease_seconds), clock_timestamp(), '', '', 0, 'claimed', 0, 0, '',
       %(device)s, 0, '{}', '{}', %(charged)s, %(weight)s, 0, false
  FROM generation_job j JOIN generation_registeredmodel m ON m.id = j.model_id WHERE j.id = %(job)s
RETURNING id, fence, started_at
"""


@dataclass(frozen=True)
class LaneRow:
    """A lane's stored and effective figures at one claim."""

    view: LaneView
    max_running: int
    organization_virtual_time: float


def claim(worker: Worker, pool_slug: str) -> Attempt | None:
    """Give the worker the best job of its pool, under a new lease and fencing number; None where nothing may run.

    A job whose worker died while finishing comes first: its latent is whole, only the end of the way is missing.
    """
    with transaction.atomic():
        pool = Pool.objects.select_for_update().get(pk=pool_slug)
        orphan = _one(ORPHAN, [pool_slug])
        if orphan:
            return _attempt(worker, orphan[0], charged=0, weight=1.0)
        now = clock()
        lanes = _corrected(_lanes(pool_slug, now), now)
        return _claim_fairly(worker, pool, lanes, now)


def _claim_fairly(worker: Worker, pool: Pool, lanes: dict[str, LaneRow], now: datetime) -> Attempt | None:
    busy: list[int] = []  # organizations whose jobs are all locked by somebody else right now
    while True:
        views = [
            replace(row.view, eligible=_one(HAS_ELIGIBLE, [slug, row.max_running, busy])[0])
            for slug, row in lanes.items()
        ]
        choice = fair_share.choose_lane(views, pool.virtual_time)
        if choice is None:
            return None
        row = lanes[choice.slug]
        place, organization, tag = _one(NEXT_ORGANIZATION, [choice.slug, row.max_running, busy])
        job = _one(NEXT_JOB, [choice.slug, organization])
        if job is None:
            busy.append(organization)
            continue
        estimate = Job.objects.values_list("estimate_gpu_ms", flat=True).get(pk=job[0])
        _charge(pool, row, choice, place, tag, estimate, now)
        return _attempt(worker, job[0], charged=estimate, weight=row.view.weight)


def _charge(
    pool: Pool,
    row: LaneRow,
    choice: fair_share.Choice,
    place: int,
    tag: float,
    estimate: int,
    now: datetime,
) -> None:
    """Move the tags: the lane's, the organization's inside it, and both virtual times."""
    start_inside = max(tag, row.organization_virtual_time)
    Lane.objects.filter(pk=choice.slug).update(
        tag=fair_share.charged(choice.start, estimate, row.view.weight),
        organization_virtual_time=start_inside,
        recent_gpu_ms=row.view.recent_gpu_ms + estimate,
        recent_at=now,
    )
    LaneOrganization.objects.filter(pk=place).update(tag=fair_share.charged(start_inside, estimate, 1.0))
    Pool.objects.filter(pk=pool.pk).update(virtual_time=choice.virtual_time)


def _attempt(worker: Worker, job_id, *, charged: int, weight: float) -> Attempt:
    values = {
        "worker": worker.pk,
        "job": job_id,
        "charged": charged,
        "weight": weight,
        "device": worker.device,
    }
    attempt_id, fence, started = _one(NEW_ATTEMPT, values)
    job = Job.objects.get(pk=job_id)
    changes = {"fence": fence, "ahead_of_lane": False, "started_at": job.started_at or started}
    if job.state == State.QUEUED:
        changes |= {"state": State.RUNNING, "state_cause": f"claimed by {worker} under fence {fence}"}
    Job.objects.filter(pk=job_id).update(**changes)
    return Attempt.objects.select_related("job", "job__model", "lane").get(pk=attempt_id)


def lane_views(pool_slug: str, now: datetime, eligible: set[str]) -> list[LaneView]:
    """The lanes of a pool as a claim at `now` would see them, were these the ones with something to run."""
    return [replace(row.view, eligible=slug in eligible) for slug, row in _lanes(pool_slug, now).items()]


def _lanes(pool_slug: str, now: datetime) -> dict[str, LaneRow]:
    return {lane.slug: _lane_row(lane, now) for lane in lane_settings.lanes(pool_slug)}


def _lane_row(lane: Lane, now: datetime) -> LaneRow:
    settings = lane_settings.effective(lane, now)
    age = (now - lane.recent_at).total_seconds() if lane.recent_at else 0.0
    view = LaneView(
        slug=lane.slug,
        tag=lane.tag,
        weight=settings.weight,
        floor=settings.floor,
        recent_gpu_ms=fair_share.decayed(lane.recent_gpu_ms, age),
        eligible=False,
    )
    return LaneRow(view, settings.max_running, lane.organization_virtual_time)


def _corrected(lanes: dict[str, LaneRow], now: datetime) -> dict[str, LaneRow]:
    """Put the tags right for attempts that ended since the last claim, in the rows and in what this claim sees."""
    with connection.cursor() as cursor:
        cursor.execute(TO_CORRECT, [list(lanes)])
        ended = cursor.fetchall()
    for slug, organization, charged, actual, weight in ended:
        view = lanes[slug].view
        tag = fair_share.corrected(view.tag, charged, actual, weight)
        recent = max(0.0, view.recent_gpu_ms + actual - charged)
        lanes[slug] = replace(lanes[slug], view=replace(view, tag=tag, recent_gpu_ms=recent))
        place = LaneOrganization.objects.filter(lane=slug, organization=organization)
        for inside in place.values_list("tag", flat=True):
            place.update(tag=fair_share.corrected(inside, charged, actual, 1.0))
    for slug in {row[0] for row in ended}:
        view = lanes[slug].view
        Lane.objects.filter(pk=slug).update(tag=view.tag, recent_gpu_ms=view.recent_gpu_ms, recent_at=now)
    return lanes


def clock() -> datetime:
    """Now, by the database."""
    return _one("SELECT clock_timestamp()", [])[0]


def _one(sql: str, values) -> tuple | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()

"""Who gets the next job: one claim, of one job or of several, is one transaction of two round trips.

The pool's row is locked for the length of a claim, so that tags are read and written by one claim at a time; jobs
are taken with SKIP LOCKED, so that a cancellation under way never blocks it. Lane settings are read here, inside the
claim: that is why a live change needs no broadcast. The next claim puts the estimate of an ended attempt right. What is
read goes into plain books, `policy/claims.py` decides on them, and what it changed is written back.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from accounts import batch
from generation.models import Attempt, Job, Lane, LaneOverride, RegisteredModel, Worker
from generation.policy import claims, fair_share
from generation.policy.claims import LaneBook, Place, PoolBook, ReadOn, Taken, WaitingJob
from generation.policy.fair_share import LaneView
from generation.scheduling import claim_sql, lane_settings
from generation.scheduling.lane_settings import LaneSettings

_Rows = list[list[tuple]]
# A claim never needs as many; whatever else waits, the next ticket gets.
MOST_READS = 40


class _Busy(Exception):
    """Some of the chosen jobs are locked by somebody else, a cancellation say: choose again without them."""


@dataclass
class _Read:
    """What a claim read: the books, and by lane what only its row knows."""

    now: datetime
    pool: PoolBook
    orphans: list[UUID]
    stored_caps: dict[str, str]
    corrected: set[str]


def claim(worker: Worker, pool_slug: str) -> Attempt | None:
    """Give the worker the best job of its pool, under a new lease and fencing number; None where nothing may run.

    A job whose worker died while finishing comes first: its latent is whole, only the end of the way is missing.
    """
    return next(iter(claim_many(worker, pool_slug, 1)), None)


def claim_many(worker: Worker, pool_slug: str, count: int) -> list[Attempt]:
    """Up to `count` jobs, the same and in the same order as so many single claims, in one transaction: the rows of pool
    and lanes are hot, so a worker with several free slots claims for all of them at once."""
    busy: list[UUID] = []
    while True:
        try:
            with transaction.atomic():
                rows = _claim(worker, pool_slug, count, busy)
        except _Busy as locked:
            busy += locked.args[0]
            continue
        return _attempts(rows)


def _claim(worker: Worker, pool_slug: str, count: int, busy: list[UUID]) -> list[_Rows]:
    """What was written of the new attempts, inside the caller's transaction."""
    found: list[_Rows] = []
    for _ in range(MOST_READS):
        read = _read(pool_slug, count, busy)
        count -= len(read.orphans)
        if outdated := _under_other_caps(read):
            found.append(_write(worker, pool_slug, read, [], _recount(outdated)))
            continue
        taken, complete = claims.take_many(read.pool, count)
        count -= len(taken)
        found.append(_write(worker, pool_slug, read, taken))
        if complete:
            break
    return found


def _read(pool_slug: str, count: int, busy: list[UUID]) -> _Read:
    """Lock the pool and read all that the next `count` claims depend on."""
    statements = [
        (claim_sql.LOCK_POOL, (pool_slug,)),
        (claim_sql.ORPHANS, (count, pool_slug, count)),
        (claim_sql.CORRECTED, (pool_slug,)),
        (claim_sql.POOL, (pool_slug,)),
        (claim_sql.LANES, (pool_slug,)),
        (claim_sql.OVERRIDES, (pool_slug,)),
        (claim_sql.HEADS, (not busy, busy, count, busy, count, count, pool_slug)),
    ]
    _, orphans, ended, pool, lane_rows, overrides, heads = batch.run(statements)
    now, virtual_time, capacity, running_units, paused = pool[0]
    changes = [_Override(*row) for row in overrides]
    lanes = {row[0]: _lane_book(row, changes, now) for row in lane_rows}
    for slug, charged, actual, weight in ended:
        claims.correct(lanes[slug], virtual_time, charged, actual, weight)
    _fill(lanes, [] if paused else heads, count)
    return _Read(
        now,
        PoolBook(virtual_time, lanes, capacity, running_units),
        [row[0] for row in orphans],
        {row[0]: row[9] for row in lane_rows},
        {row[0] for row in ended},
    )


@dataclass(frozen=True)
class _Override:
    """A standing override as `accounts.overrides` reads it; its value arrives as JSON text."""

    lane: str
    field: str
    json: str
    created_at: datetime
    expires_at: datetime | None
    removed_at: datetime | None

    @property
    def value(self) -> object:
        return json.loads(self.json)


def _lane_book(row: tuple, changes: Iterable[_Override], now: datetime) -> LaneBook:
    slug, weight, floor, max_running, max_units, tag, inner_time, recent, recent_at, _, owed = row
    baseline = dict(zip(LaneOverride.FIELDS, (weight, floor, max_running, max_units), strict=True))
    settings = lane_settings.in_force(baseline, [change for change in changes if change.lane == slug], now)
    view = replace(_view(slug, tag, settings, recent, recent_at, now), owed=owed)
    return LaneBook(view, settings.max_running, inner_time, settings.max_units_micro)


def _view(
    slug: str, tag: float, settings: LaneSettings, recent: float, recent_at: datetime | None, now: datetime
) -> LaneView:
    age = (now - recent_at).total_seconds() if recent_at else 0.0
    return LaneView(
        slug=slug,
        tag=tag,
        weight=settings.weight,
        floor=settings.floor,
        recent_gpu_ms=fair_share.decayed(recent, age),
        eligible=False,
    )


def _fill(lanes: dict[str, LaneBook], heads: Iterable[tuple], most_places: int) -> None:
    """Put the places and jobs that were read into their lanes, in the order of the rows."""
    for slug, place, organization, tag, running, units, waiting, owed, job, job_units, estimate in heads:
        lane = lanes[slug]
        if not lane.places or lane.places[-1].id != place:
            lane.places.append(Place(place, organization, tag, running, units, waiting, [], owed))
        lane.places[-1].jobs.append(WaitingJob(job, job_units, estimate))
    for lane in lanes.values():
        lane.more = len(lane.places) >= most_places


def _caps(lane: LaneBook) -> str:
    return f"{lane.max_running}/{lane.max_units_micro or ''}"


def _under_other_caps(read: _Read) -> list[LaneBook]:
    return [lane for slug, lane in read.pool.lanes.items() if read.stored_caps[slug] != _caps(lane)]


def _recount(lanes: list[LaneBook]) -> batch.Statement:
    rows = [(lane.view.slug, lane.max_running, lane.max_units_micro) for lane in lanes]
    return claim_sql.UNDER_OTHER_CAPS, _columns(rows, 3)


def _write(worker: Worker, pool_slug: str, read: _Read, taken: list[Taken], *more: batch.Statement) -> _Rows:
    """Store what was taken, and what the books say now. Raises `_Busy`."""
    jobs = [one.job.id for one in taken]
    lanes, places = _changed_lanes(read, taken), _changed_places(read)
    if not (jobs or read.orphans or lanes or places):
        return []
    statements = list(more)
    if read.orphans:
        statements.append((claim_sql.ADOPT, (worker.pk, worker.device, read.orphans)))
    charges = _columns([(one.job.id, one.charged_gpu_ms, one.weight) for one in taken], 3)
    by = (worker.pk, worker.device, str(worker))
    books = (*_columns(lanes, 7), *_columns(places, 8), read.pool.virtual_time, pool_slug)
    statements.append((claim_sql.TAKE, (*charges, jobs, *by, *books)))
    claimed = read.orphans + jobs
    work = [claim_sql.WORK, claim_sql.MODELS, claim_sql.THEIR_LANES] if claimed else []
    found = batch.run(statements + [(sql, (claimed,)) for sql in work])
    if not found[len(statements) - 1][0][0]:
        raise _Busy(_locked_among(jobs))
    return found[len(statements) :]


def _changed_lanes(read: _Read, taken: list[Taken]) -> list[tuple]:
    chosen = {one.lane for one in taken}
    return [
        _lane_values(lane, read.now)
        for slug, lane in read.pool.lanes.items()
        if slug in chosen or slug in read.corrected or read.stored_caps[slug] != _caps(lane)
    ]


def _changed_places(read: _Read) -> list[tuple]:
    return [row for lane in read.pool.lanes.values() for row in _places(lane)]


def _locked_among(jobs: list[UUID]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(claim_sql.FREE, [jobs])
        free = {row[0] for row in cursor.fetchall()}
    return [job for job in jobs if job not in free]


def _lane_values(lane: LaneBook, now: datetime) -> tuple:
    view = lane.view
    inner_time = lane.organization_virtual_time
    return view.slug, view.tag, inner_time, view.recent_gpu_ms, now, _caps(lane), view.owed


def _places(lane: LaneBook) -> Iterable[tuple]:
    """What changed of the lane's places: who was taken from, and who has no room for its next job."""
    for place in lane.places:
        try:
            following, room = place.next_job(), lane.has_room(place)
        except ReadOn:
            following, room = None, True
        if place.taken or not room:
            units = sum(job.units_micro for job in place.jobs[: place.taken])
            next_units = following.units_micro if following else None
            yield (
                place.id,
                place.tag,
                place.owed,
                place.taken,
                units,
                next_units,
                lane.max_running,
                lane.max_units_micro,
            )


def _columns(rows: list[tuple], width: int) -> list[list]:
    """Rows as one list a column, which is how a statement takes many of them at once."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _attempts(found: list[_Rows]) -> list[Attempt]:
    """The attempts with their jobs, models and lanes, made after the commit: nobody waits for it."""
    attempts = []
    for rows in found:
        if not rows:
            continue
        work, models, lanes = rows
        model_of = {model.pk: model for model in (batch.instance(RegisteredModel, row) for row in models)}
        lane_of = {lane.pk: lane for lane in (batch.instance(Lane, row) for row in lanes)}
        for row in work:
            attempt, job = batch.instances((Attempt, Job), row)
            job.model, job.lane = model_of[job.model_id], lane_of[job.lane_id]
            attempt.job, attempt.lane = job, job.lane
            attempts.append(attempt)
    return attempts


def lane_views(pool_slug: str, now: datetime, eligible: set[str]) -> list[LaneView]:
    """The lanes of a pool as a claim at `now` would see them, were these the ones with something to run."""
    return [
        replace(_view_of(lane, now), eligible=lane.slug in eligible)
        for lane in lane_settings.lanes(pool_slug)
    ]


def _view_of(lane: Lane, now: datetime) -> LaneView:
    settings = lane_settings.effective(lane, now)
    view = _view(lane.slug, lane.tag, settings, lane.recent_gpu_ms, lane.recent_at, now)
    return replace(view, owed=lane.owed)


def clock() -> datetime:
    """Now, by the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]

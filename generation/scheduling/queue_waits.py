"""Queue wait per tier, over time and now. A job that still waits counts with its age, or starvation would hide.

At a moment t the sample of a tier is: the wait of every job that started in the minutes before t, and the age of every
job that was waiting at t. The quantiles are PostgreSQL's continuous ones over that sample.

A *turn* is what the schedule owes: an organization's wait for its next job to start, from when that job was queued or
from when its job before that started, whichever came later. Whoever floods a lane waits long for a job and as short as
anybody for a turn.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

WINDOW = timedelta(minutes=5)
TURNS_BACK = timedelta(minutes=30)  # how far back the start before a job's is looked for
SPAN = timedelta(hours=1)
TICK = timedelta(minutes=1)
QUANTILES = (0.5, 0.95)

# The jobs of the span are picked once (by the indexes job_started and job_open), then laid on the ticks.
SQL = """
WITH tick AS (SELECT generate_series(%(first)s::timestamptz, %(last)s::timestamptz, %(step)s::interval) AS t),
waited AS MATERIALIZED (
  SELECT l.tier_id AS tier, l.slug AS lane, j.queued_at, coalesce(j.started_at, j.finished_at, 'infinity') AS until,
         j.started_at IS NOT NULL AS started
    FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
   WHERE l.pool_id = %(pool)s
     AND (j.started_at >= %(first)s::timestamptz - %(window)s::interval
          OR (j.started_at IS NULL AND j.state IN ('screening', 'queued'))
          OR (j.started_at IS NULL AND j.finished_at >= %(first)s::timestamptz))
)
SELECT t, {group}, percentile_cont(%(quantiles)s::float8[]) WITHIN GROUP (
         ORDER BY extract(epoch FROM least(until, t) - queued_at)), count(*)
  FROM tick JOIN waited ON queued_at <= t AND (until > t OR (started AND until > t - %(window)s::interval))
 GROUP BY t, {group} ORDER BY t
"""

TURNS = """
WITH line AS (
  SELECT j.lane_id AS lane, j.queued_at, j.started_at, lag(j.started_at) OVER turns AS before,
         lag(j.id) OVER turns IS NOT NULL AND lag(j.started_at) OVER turns IS NULL AS behind_one_that_waits
    FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
   WHERE l.pool_id = %(pool)s
     AND (j.started_at >= %(now)s::timestamptz - %(back)s::interval
          OR (j.started_at IS NULL AND j.state IN ('screening', 'queued')))
  WINDOW turns AS (PARTITION BY j.lane_id, j.organization_id ORDER BY j.started_at NULLS LAST, j.queued_at)
)
SELECT lane, percentile_cont(0.95) WITHIN GROUP (
         ORDER BY extract(epoch FROM coalesce(started_at, %(now)s::timestamptz) - greatest(queued_at, before)))
  FROM line WHERE started_at >= %(now)s::timestamptz - %(window)s::interval
               OR (started_at IS NULL AND NOT behind_one_that_waits)
 GROUP BY lane
"""


@dataclass(frozen=True)
class Wait:
    """Seconds at one moment, and how many jobs they are taken over."""

    at: datetime
    p50_s: float
    p95_s: float
    jobs: int


def ticks(now: datetime) -> list[datetime]:
    """The moments at which `per_tier` looks, oldest first; the last one is `now`."""
    return [now - SPAN + TICK * step for step in range(SPAN // TICK + 1)]


def per_tier(pool: str, now: datetime) -> dict[str, list[Wait]]:
    """Tier → waits at each minute of the last hour, oldest first; minutes without a job are left out. One query."""
    return _read("tier", pool, now - SPAN, now)


def per_lane_now(pool: str, now: datetime) -> dict[str, Wait]:
    """Lane → the wait as of now. One query."""
    return {lane: waits[-1] for lane, waits in _read("lane", pool, now, now).items()}


def turns_p95_s(pool: str, now: datetime) -> dict[str, float]:
    """Lane → p95 of its turns: those that ended in the last minutes, and those that last, with their age. One query."""
    values = {"pool": pool, "now": now, "back": TURNS_BACK, "window": WINDOW}
    with connection.cursor() as cursor:
        cursor.execute(TURNS, values)
        return dict(cursor.fetchall())


def _read(group: str, pool: str, first: datetime, last: datetime) -> dict[str, list[Wait]]:
    values = {
        "pool": pool,
        "first": first,
        "last": last,
        "step": TICK,
        "window": WINDOW,
        "quantiles": list(QUANTILES),
    }
    with connection.cursor() as cursor:
        cursor.execute(SQL.format(group=group), values)
        found: dict[str, list[Wait]] = {}
        for at, name, (p50, p95), jobs in cursor.fetchall():
            found.setdefault(name, []).append(Wait(at, p50, p95, jobs))
        return found

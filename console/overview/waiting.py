"""Who waits for a first start, by age: at the end of a minute that has passed, and now.

A job waits from when it was queued until an attempt begins or it ends without one; whatever gave way or broke later has
started. Waiting is a state, so it is kept per moment and never added up over time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from console.overview.policy.spread import BOUNDS, Spread
from generation.late_clips import CUSTOMERS

# Of a moment in the past only jobs that started (or ended) within a day after it are looked for; of the present, all.
LOOKED_FOR = timedelta(days=1)
MOST_LIVE = 50_000  # the oldest; lanes count the others

KEEP = f"""
WITH waited AS MATERIALIZED (
  SELECT l.pool_id AS pool, l.tier_id AS tier, j.model_id, j.queued_at, j.started_at AS until
    FROM generation_lane l
    JOIN generation_job j ON j.lane_id = l.slug AND j.started_at > %(first)s AND j.started_at <= %(last_start)s
   WHERE j.queued_at <= %(last)s AND {CUSTOMERS}
  UNION ALL
  SELECT l.pool_id, l.tier_id, j.model_id, j.queued_at, e.at
    FROM generation_jobevent e JOIN generation_job j ON j.id = e.job_id JOIN generation_lane l ON l.slug = j.lane_id
   WHERE e.at > %(first)s AND e.at <= %(last_start)s AND e.from_state IN ('queued', 'screening')
     AND e.to_state IN ('cancelled', 'failed', 'blocked') AND j.started_at IS NULL AND j.queued_at <= %(last)s
     AND {CUSTOMERS}
  UNION ALL
  SELECT l.pool_id, l.tier_id, j.model_id, j.queued_at, 'infinity'
    FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
   WHERE j.state IN ('screening', 'queued') AND j.started_at IS NULL AND j.queued_at <= %(last)s
     AND {CUSTOMERS}
), placed AS (
  SELECT moment AS at, pool, tier, model_id,
         width_bucket(round(1000 * extract(epoch FROM moment - queued_at))::bigint, %(bounds)s::bigint[]) AS bucket,
         count(*) AS n
    FROM waited CROSS JOIN LATERAL generate_series(
         greatest(%(first)s::timestamptz,
                  date_bin('1 minute', queued_at + interval '1 minute' - interval '1 microsecond',
                           timestamptz '2000-01-01 00:00+00')),
         least(until - interval '1 microsecond', %(last)s::timestamptz), '1 minute') AS moment
   GROUP BY 1, 2, 3, 4, 5
)
INSERT INTO console_waitingages (at, pool, tier, model, ages)
SELECT at, pool, tier, m.name, jsonb_object_agg(bucket, n)
  FROM placed JOIN generation_registeredmodel m ON m.id = model_id GROUP BY at, pool, tier, m.name
"""
NOW = f"""
WITH oldest AS MATERIALIZED (
  (SELECT lane_id, model_id, queued_at FROM generation_job j
    WHERE state = 'queued' AND started_at IS NULL AND {CUSTOMERS} ORDER BY queued_at LIMIT %(most)s)
  UNION ALL
  (SELECT lane_id, model_id, queued_at FROM generation_job j
    WHERE state = 'screening' AND started_at IS NULL AND {CUSTOMERS} ORDER BY queued_at LIMIT %(most)s))
SELECT l.pool_id, l.tier_id, m.name,
       width_bucket(greatest(round(1000 * extract(epoch FROM %(now)s::timestamptz - queued_at)), 0)::bigint,
                    %(bounds)s::bigint[]) AS bucket,
       count(*)
  FROM oldest JOIN generation_lane l ON l.slug = lane_id JOIN generation_registeredmodel m ON m.id = model_id
 GROUP BY 1, 2, 3, 4
"""


@dataclass(frozen=True)
class Waiting:
    """The jobs of one lane and model that wait, by age in milliseconds."""

    pool: str
    tier: str
    model: str
    ages: Spread


def keep(first: datetime, last: datetime, now: datetime) -> None:
    """Keep who waited at every full minute from `first` to `last`, both included; two queries."""
    values = {"first": first, "last": last, "bounds": list(BOUNDS), "last_start": min(now, last + LOOKED_FOR)}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM console_waitingages WHERE at >= %s AND at <= %s", [first, last])
        cursor.execute(KEEP, values)


def live(now: datetime) -> list[Waiting]:
    """Who waits now. One query over at most the `MOST_LIVE` oldest of each kind, by the index job_open."""
    found: dict[tuple[str, str, str], dict[int, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(NOW, {"now": now, "most": MOST_LIVE, "bounds": list(BOUNDS)})
        for pool, tier, model, bucket, count in cursor.fetchall():
            found.setdefault((pool, tier, model), {})[bucket] = count
    return [Waiting(*lane, ages) for lane, ages in found.items()]

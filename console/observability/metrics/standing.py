"""What stands at the moment of a scrape: open jobs, workers, queues, alarms. Each statement reads what is open, by an
index of its own, and nothing that is over."""

from datetime import datetime, timedelta

from django.db import connection

from console.health import WORKER_SEEN_S
from generation.policy import fair_share
from generation.scheduling import lane_settings

Levels = dict[tuple[str, tuple[str, ...]], float]

# Workers that stopped long ago without a word are of no interest.
SILENT_FOR = timedelta(hours=1)
MICRO = 1e6

SQL = """
WITH opened AS MATERIALIZED (
  SELECT lane_id, state, count(*) AS jobs, min(queued_at) AS oldest FROM generation_job
   WHERE state IN ('screening', 'queued', 'running', 'finishing', 'held', 'review') GROUP BY lane_id, state),
live AS (
  SELECT pool_id, desired, slots, seen_at > %(now)s - make_interval(secs => %(seen)s) AS heard
    FROM generation_worker WHERE stopped_at IS NULL AND seen_at > %(now)s - %(silent)s::interval),
pending AS (
  SELECT count(*) AS waiting, min(due_at) AS due
    FROM accounts_outboxevent WHERE dispatched_at IS NULL AND parked_at IS NULL)
SELECT 'jobs_open' AS family, ARRAY[l.pool_id, l.slug, l.tier_id, s.state]::text[] AS labels,
       coalesce(o.jobs, 0)::float8 AS value
  FROM generation_lane l
  CROSS JOIN unnest(ARRAY['screening', 'queued', 'running', 'finishing', 'held', 'review']) s(state)
  LEFT JOIN opened o ON o.lane_id = l.slug AND o.state = s.state
UNION ALL
SELECT 'queue_oldest_wait_seconds', ARRAY[l.pool_id, l.slug, l.tier_id],
       coalesce(max(extract(epoch FROM %(now)s - o.oldest)), 0)
  FROM generation_lane l LEFT JOIN opened o ON o.lane_id = l.slug AND o.state IN ('screening', 'queued')
 GROUP BY l.pool_id, l.slug, l.tier_id
UNION ALL
SELECT 'workers', ARRAY[p.slug, s.state], count(w.pool_id)
  FROM generation_pool p CROSS JOIN unnest(ARRAY['run', 'drain', 'restart', 'quarantine', 'silent']) s(state)
  LEFT JOIN live w ON w.pool_id = p.slug AND s.state = CASE WHEN w.heard THEN w.desired ELSE 'silent' END
 GROUP BY p.slug, s.state
UNION ALL
SELECT 'worker_slots', ARRAY[p.slug], coalesce(sum(w.slots), 0)
  FROM generation_pool p LEFT JOIN live w ON w.pool_id = p.slug AND w.heard AND w.desired = 'run' GROUP BY p.slug
UNION ALL
SELECT 'worker_slots_busy', ARRAY[p.slug], count(a.id)
  FROM generation_pool p JOIN generation_lane l ON l.pool_id = p.slug
  LEFT JOIN generation_attempt a ON a.lane_id = l.slug AND a.ended_at IS NULL GROUP BY p.slug
UNION ALL
SELECT 'models', ARRAY[kind, status], count(*) FROM generation_registeredmodel GROUP BY kind, status
UNION ALL
SELECT 'alarm_level', ARRAY[d.name], coalesce(max(s.level), 0)
  FROM console_alarmdefinition d LEFT JOIN console_alarmstate s ON s.alarm_id = d.name GROUP BY d.name
UNION ALL
SELECT 'alarm_round_age_seconds', ARRAY[]::text[], greatest(0, extract(epoch FROM %(now)s - max(at)))
  FROM console_alarmround HAVING count(*) > 0
UNION ALL
SELECT 'review_items_open', ARRAY[s.state], count(i.id)
  FROM unnest(ARRAY['open', 'escalated']) s(state) LEFT JOIN safety_reviewitem i
    ON i.state = s.state AND i.state IN ('open', 'escalated') GROUP BY s.state
UNION ALL
SELECT 'review_oldest_wait_seconds', ARRAY[]::text[],
       coalesce(greatest(0, extract(epoch FROM %(now)s - min(opened_at))), 0)
  FROM safety_reviewitem WHERE state IN ('open', 'escalated')
UNION ALL
SELECT 'signing_outage_seconds', ARRAY[]::text[],
       coalesce(max(greatest(0, extract(epoch FROM %(now)s - began_at))), 0)
  FROM generation_signingoutage WHERE ended_at IS NULL
UNION ALL
SELECT 'outbox_events_waiting', ARRAY[]::text[], waiting FROM pending
UNION ALL
SELECT 'outbox_oldest_due_seconds', ARRAY[]::text[], coalesce(greatest(0, extract(epoch FROM %(now)s - due)), 0)
  FROM pending
UNION ALL
SELECT 'webhook_deliveries_waiting', ARRAY[]::text[], count(*) FROM accounts_webhookdelivery WHERE state = 'pending'
UNION ALL
SELECT 'credits_held', ARRAY[]::text[], coalesce(sum(amount), 0) / %(micro)s FROM billing_hold WHERE state = 'open'
"""


def read(now: datetime) -> Levels:
    """Every level as of now. Three queries, however many jobs there were."""
    values = {"now": now, "seen": WORKER_SEEN_S, "silent": SILENT_FOR, "micro": MICRO}
    with connection.cursor() as cursor:
        cursor.execute(SQL, values)
        found = {(family, tuple(labels)): float(value) for family, labels, value in cursor.fetchall()}
    return found | _lanes(now)


def _lanes(now: datetime) -> Levels:
    """The lanes' settings in force, as the pages show them."""
    found: Levels = {}
    for lane in lane_settings.lanes():
        settings, place = lane_settings.effective(lane, now), (lane.pool_id, lane.slug)
        age_s = max(0.0, (now - lane.recent_at).total_seconds()) if lane.recent_at else 0.0
        found["lane_weight", place] = settings.weight
        found["lane_floor_ratio", place] = settings.floor
        found["lane_burst_cap_jobs", place] = float(settings.max_running)
        found["lane_recent_device_seconds", place] = fair_share.decayed(lane.recent_gpu_ms, age_s) / 1000
    return found

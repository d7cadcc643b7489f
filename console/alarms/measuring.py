"""What alarms look at, read from the rows: job and operational events counted in steps, and levels as they stand.

Job events are found by their number: a round keeps the newest number it knew, and whatever happened minutes later has
a higher one. So no index of their own is needed, however many there are.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

from django.conf import settings
from django.db import connection

from console.alarms.policy import catalog
from console.alarms.policy.history import Counts, Measured, Recorded
from console.health import WORKER_SEEN_S
from generation.late_clips import CUSTOMERS
from safety.scorer.client import Scorers, Unanswered

STEP_S = 10
STEP = timedelta(seconds=STEP_S)
COUNTED_AGAIN = timedelta(minutes=2)  # what commits late is counted with the step that it belongs to
WAITS_OVER = timedelta(minutes=5)
FIRST_LOOK = 200_000  # job events that the very first round looks back over
LONGEST_S = 259_200
SCORER_S = 2.0

COUNTS = f"""
WITH ended AS (
  SELECT to_timestamp(floor(extract(epoch FROM e.at) / %(step)s) * %(step)s) AS step, e.from_state, e.to_state,
         j.id, j.kind, j.error_code, j.repeat_of_id, l.pool_id AS pool, l.tier_id AS tier,
         coalesce(j.screening->>'category', '') AS category, j.finished_at - j.queued_at AS took, t.target_s
    FROM generation_jobevent e
    JOIN generation_job j ON j.id = e.job_id
    JOIN generation_lane l ON l.slug = j.lane_id
    JOIN generation_registeredmodel m ON m.id = j.model_id
    LEFT JOIN LATERAL (
      SELECT s.target_s FROM billing_slatarget s
       WHERE e.to_state = 'delivered' AND j.kind = 'clip' AND s.tier_id = l.tier_id AND s.model IN ('', m.name)
         AND s.max_seconds >= (j.spec->>'seconds')::float AND s.effective_from <= j.queued_at
       ORDER BY s.model = '', s.max_seconds, s.effective_from DESC LIMIT 1) t ON true
   WHERE e.id > %(after)s AND e.at >= %(since)s AND e.at < %(until)s AND {CUSTOMERS}
     AND e.to_state IN ('delivered', 'failed', 'blocked', 'running')
), happened AS (
  SELECT to_timestamp(floor(extract(epoch FROM at) / %(step)s) * %(step)s) AS step, kind
    FROM accounts_operationalevent
   WHERE at >= %(since)s AND at < %(until)s AND kind IN
         ('attempt.lost', 'attempt.failed', 'billing.drift', 'verification.failed', 'rescan.hit', 'outbox.parked')
), counted AS (
  SELECT step, 'not_finite' AS measure, '' AS scope,
         count(*) FILTER (WHERE to_state = 'failed' AND error_code = 'not_finite') AS bad, count(*) AS total
    FROM ended WHERE kind = 'clip' AND to_state <> 'running' GROUP BY step
  UNION ALL
  SELECT step, 'availability', '', count(*) FILTER (WHERE to_state = 'failed' AND error_code <> 'not_finite'), count(*)
    FROM ended WHERE to_state IN ('delivered', 'failed') GROUP BY step
  UNION ALL
  SELECT step, 'time_in_system', '', count(*) FILTER (WHERE took > make_interval(secs => target_s)), count(*)
    FROM ended WHERE target_s IS NOT NULL AND from_state <> 'review' GROUP BY step
  UNION ALL
  SELECT step, 'plus_completions', pool, 0, count(*)
    FROM ended WHERE tier = 'plus' AND to_state = 'delivered' GROUP BY step, pool
  UNION ALL
  SELECT step, 'rejections', category, count(*) FILTER (WHERE to_state = 'blocked'), count(*)
    FROM ended WHERE kind = 'clip' AND to_state IN ('delivered', 'blocked') AND repeat_of_id IS NULL
     AND from_state IN ('running', 'finishing', 'held') GROUP BY step, category
  UNION ALL
  SELECT step, 'retries', '', 0, count(*) FROM ended WHERE to_state = 'running' GROUP BY step
  UNION ALL
  SELECT step, 'retries', '', count(*), 0 FROM happened WHERE kind LIKE 'attempt.%%' GROUP BY step
  UNION ALL
  SELECT step, CASE kind WHEN 'billing.drift' THEN 'ledger_drift' WHEN 'verification.failed' THEN 'unsafe_delivery'
                         WHEN 'rescan.hit' THEN 'bypass' ELSE 'outbox_parked' END, '', count(*), count(*)
    FROM happened WHERE kind NOT LIKE 'attempt.%%' GROUP BY step, kind
  UNION ALL
  SELECT step, 'unsafe_delivery', '', count(*), count(*) FROM ended
   WHERE kind = 'clip' AND to_state = 'delivered' AND repeat_of_id IS NULL AND NOT EXISTS (
         SELECT 1 FROM generation_asset a JOIN safety_credential c ON c.signed_digest = a.digest
          WHERE a.job_id = ended.id AND a.role = 'video' AND c.state = 'Trusted') GROUP BY step
)
INSERT INTO console_alarmcount (at, measure, scope, bad, total)
SELECT step, measure, left(scope, 100), sum(bad), sum(total) FROM counted GROUP BY step, measure, left(scope, 100)
ON CONFLICT (at, measure, scope) DO UPDATE SET bad = excluded.bad, total = excluded.total
 WHERE (console_alarmcount.bad, console_alarmcount.total) <> (excluded.bad, excluded.total)
"""

# A wait that only one or two jobs have had is no starvation: the p95 counts up to the third longest wait.
# Synthetic jobs: how long the oldest try since the last good one is ago; 0 where none is open or failed since.
LEVELS = """
WITH waited AS (
  SELECT l.pool_id AS pool, j.started_at IS NULL AS waits,
         extract(epoch FROM coalesce(j.started_at, %(now)s::timestamptz) - j.queued_at) AS s
    FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
   WHERE l.tier_id = 'plus' AND (j.started_at >= %(now)s::timestamptz - %(over)s::interval
         OR (j.started_at IS NULL AND j.state IN ('screening', 'queued')))
), tried AS (
  SELECT l.pool_id AS pool, j.created_at AS at, j.state = 'delivered' AS delivered
    FROM accounts_organization o JOIN generation_job j ON j.organization_id = o.id
    JOIN generation_lane l ON l.slug = j.lane_id
   WHERE o.slug = 'backlot-synthetic' AND j.created_at > %(now)s::timestamptz - interval '26 hours'
  UNION ALL
  SELECT substr(subject, 6), at, false FROM accounts_operationalevent
   WHERE kind = 'synthetic.refused' AND at > %(now)s::timestamptz - interval '26 hours'
)
SELECT 'plus_wait', pool, least(percentile_cont(0.95) WITHIN GROUP (ORDER BY s), (array_agg(s ORDER BY s DESC))[3])
  FROM waited GROUP BY pool HAVING count(*) >= 3
UNION ALL
SELECT 'plus_waiting', pool, count(*) FILTER (WHERE waits) FROM waited GROUP BY pool
UNION ALL
SELECT 'signing_down', '', coalesce(max(extract(epoch FROM %(now)s::timestamptz - began_at)), 0)
  FROM generation_signingoutage WHERE ended_at IS NULL
UNION ALL
SELECT 'outbox_late', '', greatest(0, coalesce(max(extract(epoch FROM %(now)s::timestamptz - due_at)), 0))
  FROM accounts_outboxevent WHERE dispatched_at IS NULL AND parked_at IS NULL
UNION ALL
SELECT 'webhooks_late', '', count(DISTINCT e.id)
  FROM accounts_webhookendpoint e JOIN accounts_webhookdelivery d ON d.endpoint_id = e.id
 WHERE e.state = 'enabled' AND e.failures = 0 AND d.state = 'pending'
   AND d.due_at < %(now)s::timestamptz - interval '5 minutes'
UNION ALL
SELECT 'synthetic_age', t.pool, coalesce(extract(epoch FROM %(now)s::timestamptz
         - min(t.at) FILTER (WHERE t.at > coalesce(t.well, '-infinity'))), 0)
  FROM (SELECT pool, at, max(at) FILTER (WHERE delivered) OVER (PARTITION BY pool) AS well FROM tried) t
 WHERE %(synthetic)s AND EXISTS (
       SELECT 1 FROM generation_registeredmodel m WHERE m.pool_id = t.pool AND m.status = 'active')
   AND NOT EXISTS (
       SELECT 1 FROM generation_pooloverride p
        WHERE p.pool_id = t.pool AND p.field = 'paused' AND p.value = 'true' AND p.removed_at IS NULL
          AND (p.expires_at IS NULL OR p.expires_at > %(now)s::timestamptz))
 GROUP BY t.pool
UNION ALL
SELECT 'no_worker', p.slug, CASE WHEN count(w.id) = 0 THEN 1 ELSE 0 END
  FROM generation_pool p
  LEFT JOIN generation_worker w ON w.pool_id = p.slug AND w.stopped_at IS NULL AND w.desired = 'run'
       AND w.seen_at > %(now)s::timestamptz - make_interval(secs => %(seen)s)
 WHERE EXISTS (SELECT 1 FROM generation_registeredmodel m WHERE m.pool_id = p.slug AND m.status = 'active')
 GROUP BY p.slug
"""


def scorer_down() -> float:
    """1 where no scorer answers within two seconds: then no prompt can be checked and none is admitted."""
    probe = Scorers(list(settings.SCORERS), settings.SCORER_SECRET.encode(), SCORER_S)
    try:
        probe.ask({"op": "health"})
    except Unanswered:
        return 1.0
    finally:
        probe.forget()
    return 0.0


def step_of(now: datetime) -> datetime:
    """The beginning of the step that `now` lies in; everything before it has happened."""
    return datetime.fromtimestamp(int(now.timestamp()) // STEP_S * STEP_S, tz=now.tzinfo)


def count(now: datetime) -> int:
    """Count the last minutes' steps, again where they were counted; the newest job event's number. Three queries."""
    until = step_of(now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM generation_jobevent")
        newest = cursor.fetchone()[0]
        cursor.execute(
            "SELECT coalesce(max(job_event_id), %s) FROM console_alarmround WHERE minute < %s",
            [max(0, newest - FIRST_LOOK), now - 2 * COUNTED_AGAIN],
        )
        after = cursor.fetchone()[0]
        values = {"step": STEP_S, "after": after, "since": until - COUNTED_AGAIN, "until": until}
        cursor.execute(COUNTS, values)
    return newest


def levels(now: datetime, scorer: float) -> dict[tuple[str, str], float]:
    """Every level as it stands, kept in the rows of this step as well. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            LEVELS,
            {
                "now": now,
                "over": WAITS_OVER,
                "seen": WORKER_SEEN_S,
                "synthetic": settings.SYNTHETIC_JOBS,
            },
        )
        found = {(measure, scope): float(level) for measure, scope, level in cursor.fetchall()}
        found["scorer_down", ""] = scorer
        rows = [(step_of(now), measure, scope, level) for (measure, scope), level in found.items()]
        cursor.execute(
            "INSERT INTO console_alarmlevel (at, measure, scope, level) SELECT * FROM unnest("
            "%s::timestamptz[], %s::text[], %s::text[], %s::float8[])"
            " ON CONFLICT (at, measure, scope) DO UPDATE SET level = excluded.level",
            [list(column) for column in zip(*rows, strict=True)],
        )
    return found


def sums(now: datetime) -> dict[tuple[str, str, int], Counts]:
    """What was counted in every window that an alarm looks at. One query."""
    until, wanted = step_of(now), catalog.windows()
    windows = sorted(set().union(*wanted.values()))
    columns = ", ".join(
        f"coalesce(sum({column}) FILTER (WHERE at >= %s), 0)::bigint"
        for _ in windows
        for column in ("bad", "total")
    )
    moments = [until - timedelta(seconds=window) for window in windows for _ in range(2)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT measure, scope, {columns} FROM console_alarmcount"  # noqa: S608  no value is in it
            " WHERE at >= %s AND at < %s GROUP BY measure, scope",
            [*moments, until - timedelta(seconds=LONGEST_S), until],
        )
        return {
            (measure, scope, window): Counts(bad, total)
            for measure, scope, *numbers in cursor.fetchall()
            for window, bad, total in zip(windows, numbers[::2], numbers[1::2], strict=True)
            if window in wanted.get(measure, ())
        }


def look(now: datetime, scorer: float) -> Measured:
    """Everything as of now, read from what was counted and what stands."""
    return Measured(sums(now), levels(now, scorer))


def recorded(now: datetime, span: timedelta, measures: Iterable[str]) -> Recorded:
    """What was recorded of some measures over a span of time, to replay an alarm on. Two queries."""
    until = step_of(now)
    begin, steps = until - span, span // STEP
    history = Recorded(begin.timestamp(), STEP_S, steps)
    values = [list(measures), begin, until]
    where = "WHERE measure = ANY(%s) AND at >= %s AND at < %s ORDER BY measure, scope, at"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT measure, scope, at, bad, total FROM console_alarmcount {where}", values)  # noqa: S608
        for key, rows in groupby(cursor.fetchall(), key=lambda row: row[:2]):
            bad, total = [0] * steps, [0] * steps
            for _, _, at, some, all_of in rows:
                step = (at - begin) // STEP
                bad[step], total[step] = some, all_of
            history.count(*key, bad, total)
        cursor.execute(f"SELECT measure, scope, at, level FROM console_alarmlevel {where}", values)  # noqa: S608
        for key, rows in groupby(cursor.fetchall(), key=lambda row: row[:2]):
            stood: list[float | None] = [None] * steps
            for _, _, at, level in rows:
                stood[(at - begin) // STEP] = level
            history.stand(*key, stood)
    return history

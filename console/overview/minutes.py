"""A run of minutes counted from the rows themselves, in one statement; whatever was counted of them before goes.

What a job's end brings (its devices' time, its charge, its stages) belongs to the minute of that end, so that a point
of a chart and the jobs behind it are the same rows.
"""

from datetime import datetime

from django.db import connection

from accounts.organizations import OWN
from console.overview.counted import (
    REASONS,
    RETRIED,
    RETRIES,
    SLOW_START,
    SLOW_START_S,
    STARTED,
    WHATS,
    changes,
)
from console.overview.policy.grains import MINUTE
from console.overview.policy.spread import BOUNDS
from generation.costs.measured import FATE
from generation.late_clips import CUSTOMERS, SYNTHETIC

STEP = "date_bin('1 minute', {moment}, timestamptz '2000-01-01 00:00+00')"
LANE = "minute, pool, tier, model"
# An attempt that holds a device longer than this has lost it long since.
LONGEST_ATTEMPT = "interval '6 hours'"


def _minute_of(moment: str) -> str:
    return STEP.format(moment=moment)


# Every name with the condition under which a change of state counts as one.
_FLAGS = ",\n         ".join(f"({what.condition})::int AS is_{what.name}" for what in WHATS)
_VALUES = ",\n    ".join(
    [
        *(f"('{what.name}', is_{what.name}::bigint)" for what in WHATS),
        *(f"('{name}:' || because_{name}, is_{name}::bigint)" for name in REASONS),
        "('used_micro', is_ended * charge_micro)",
    ]
)
_BECAUSE = ", ".join(f"{words} AS because_{name}" for name, words in REASONS.items())

ROLL = f"""
WITH change AS MATERIALIZED (
  SELECT {_minute_of("e.at")} AS minute, l.pool_id AS pool, l.tier_id AS tier, m.name AS model, j.id AS job, j.kind,
         e.to_state, j.error_code, j.hold_id, j.charge_micro, j.stages, j.screening, clock.took_ms,
         1000 * extract(epoch FROM j.started_at - j.queued_at) AS wait_ms, {_BECAUSE},
         {_FLAGS}
  {changes()}
   WHERE e.at >= %(since)s AND e.at < %(until)s
     AND (e.from_state = '' OR (e.from_state = 'running' AND e.to_state = 'queued')
          OR e.to_state IN ('delivered', 'failed', 'blocked', 'cancelled', 'withdrawn'))
), started AS MATERIALIZED (
  SELECT {_minute_of("j.started_at")} AS minute, l.pool_id AS pool, l.tier_id AS tier, m.name AS model,
         1000 * extract(epoch FROM j.started_at - j.queued_at) AS wait_ms
    FROM generation_lane l
    JOIN generation_job j ON j.lane_id = l.slug AND j.started_at >= %(since)s AND j.started_at < %(until)s
     AND {CUSTOMERS}
    JOIN generation_registeredmodel m ON m.id = j.model_id
), within AS (
  SELECT c.minute, c.pool, c.tier, c.model, c.kind, c.to_state AS state, c.error_code, a.job_id, a.outcome, a.gpu_ms,
         a.step, a.resumed_from_step, a.stages, a.saved_gpu_ms,
         greatest(a.step - a.resumed_from_step, 0) AS ran,
         lead(a.resumed_from_step) OVER turns AS next_from, lag(a.outcome) OVER turns AS before
    FROM change c JOIN generation_attempt a ON a.job_id = c.job
   WHERE c.is_ended = 1 WINDOW turns AS (PARTITION BY a.job_id ORDER BY a.id)
), told AS (
  SELECT *, {FATE} FROM within
), busy AS (
  SELECT l.pool_id AS pool, l.tier_id AS tier, m.name AS model, a.started_at AS begun,
         CASE WHEN a.gpu_ms > 0 THEN a.started_at + a.gpu_ms * interval '1 ms'
              WHEN a.ended_at IS NULL THEN %(now)s::timestamptz ELSE a.started_at END AS done
    FROM generation_attempt a JOIN generation_job j ON j.id = a.job_id
    JOIN generation_lane l ON l.slug = a.lane_id JOIN generation_registeredmodel m ON m.id = j.model_id
   WHERE a.started_at >= %(since)s::timestamptz - {LONGEST_ATTEMPT} AND a.started_at < %(until)s
     AND (a.ended_at IS NULL OR a.ended_at > %(since)s)
), alive AS (
  SELECT t.minute, w.pool_id AS pool, w.slots, greatest(t.minute, w.started_at) AS begun,
         least(t.minute + interval '1 minute', coalesce(w.stopped_at, w.seen_at)) AS done
    FROM generate_series(%(since)s::timestamptz, %(until)s::timestamptz - interval '1 minute', '1 minute') t(minute)
    JOIN generation_worker w ON w.started_at < t.minute + interval '1 minute'
     AND coalesce(w.stopped_at, w.seen_at) > t.minute
), happened AS (
  SELECT {_minute_of("o.at")} AS minute, o.kind, o.detail, coalesce(l.pool_id, '') AS pool,
         coalesce(l.tier_id, '') AS tier, coalesce(m.name, '') AS model
    FROM accounts_operationalevent o
    LEFT JOIN generation_job j
      ON j.id = CASE WHEN o.subject ~ '^job:[0-9a-f-]{{36}}$' THEN substr(o.subject, 5)::uuid END
    LEFT JOIN generation_lane l ON l.slug = j.lane_id LEFT JOIN generation_registeredmodel m ON m.id = j.model_id
   WHERE o.at >= %(since)s AND o.at < %(until)s AND (j.id IS NULL OR {CUSTOMERS})
     AND o.kind = ANY(%(retries)s::text[] || ARRAY['postfilter.block', 'screening.block', 'rescan.hit'])
), counted AS (
  SELECT {LANE}, v.name, v.n FROM change CROSS JOIN LATERAL (VALUES
    {_VALUES}) AS v(name, n)
  UNION ALL
  SELECT {LANE}, v.name, v.n FROM started CROSS JOIN LATERAL (VALUES
    ('{STARTED}', 1), ('{SLOW_START}', (wait_ms > {1000 * SLOW_START_S})::int)) AS v(name, n)
  UNION ALL
  SELECT {LANE}, v.name, v.n FROM told CROSS JOIN LATERAL (VALUES
    ('gpu_ms', gpu_ms), ('early_ms', saved_gpu_ms), ('early', (saved_gpu_ms > 0)::int::bigint),
    ('saved_ms', CASE WHEN kind = 'clip' THEN saved_ms::bigint END),
    ('wasted_ms', CASE WHEN kind = 'clip' AND cause <> 'cancelled' THEN wasted_ms::bigint END),
    ('wasted_ms:' || cause, CASE WHEN kind = 'clip' THEN wasted_ms::bigint END)) AS v(name, n)
  UNION ALL
  SELECT {_minute_of("a.ended_at")}, l.pool_id, l.tier_id, m.name, 'own_ms', a.gpu_ms
    FROM accounts_organization o
    JOIN generation_job j ON j.organization_id = o.id AND j.source = '{SYNTHETIC}' AND j.kind IN ('clip', 'code')
     AND j.created_at >= %(since)s::timestamptz - {LONGEST_ATTEMPT} AND j.created_at < %(until)s
    JOIN generation_attempt a ON a.job_id = j.id AND a.ended_at >= %(since)s AND a.ended_at < %(until)s
    JOIN generation_lane l ON l.slug = j.lane_id JOIN generation_registeredmodel m ON m.id = j.model_id
   WHERE o.slug = '{OWN}'
  UNION ALL
  SELECT t.minute, pool, tier, model, 'busy_ms', round(1000 * extract(epoch FROM
         least(t.minute + interval '1 minute', done) - greatest(t.minute, begun)))::bigint
    FROM busy CROSS JOIN LATERAL generate_series(
         greatest(%(since)s::timestamptz, {_minute_of("begun")}),
         least(done, %(until)s::timestamptz) - interval '1 microsecond', '1 minute') t(minute)
  UNION ALL
  SELECT minute, pool, '', '', 'capacity_ms', round(slots * 1000 * extract(epoch FROM done - begun))::bigint
    FROM alive WHERE done > begun
  UNION ALL
  SELECT minute, pool, tier, change.model, v.name, v.n FROM change
    JOIN billing_usageevent u ON u.hold_id = change.hold_id JOIN billing_slacredit s ON s.usage_event_id = u.id
    CROSS JOIN LATERAL (VALUES ('sla_credits', 1), ('sla_micro', s.amount)) AS v(name, n)
   WHERE is_delivered = 1
  UNION ALL
  SELECT {_minute_of("t.at")}, '', '', '', v.name, v.n
    FROM billing_transaction t JOIN billing_payment p ON p.id = t.payment_id
    CROSS JOIN LATERAL (VALUES ('purchases', 1), ('sold_micro', p.credits_micro)) AS v(name, n)
   WHERE t.kind = 'purchase' AND t.at >= %(since)s AND t.at < %(until)s
  UNION ALL
  SELECT {_minute_of("r.at")}, coalesce(m.pool_id, ''), terms.tier_id, d.model, v.name, v.n
    FROM generation_refusedprompt r JOIN billing_decision d ON d.id = r.decision_id
    JOIN accounts_organization o ON o.id = d.organization_id AND o.slug <> '{OWN}'
    JOIN accounts_tierterms terms ON terms.id = d.terms_id
    LEFT JOIN generation_registeredmodel m ON m.id = (
         SELECT min(id) FROM generation_registeredmodel WHERE name = d.model)
    LEFT JOIN billing_raterefusals rr ON rr.decision_id = d.id
    CROSS JOIN LATERAL (VALUES ('refused', coalesce(rr.refused, 1)),
         ('refused:' || r.category, coalesce(rr.refused, 1))) AS v(name, n)
   WHERE r.at >= %(since)s AND r.at < %(until)s
  UNION ALL
  SELECT {LANE}, '{RETRIED}', 1 FROM happened WHERE kind = ANY(%(retries)s::text[])
  UNION ALL
  SELECT {LANE}, 'stopped:' || coalesce(detail->>'category', ''), 1
    FROM happened WHERE kind IN ('postfilter.block', 'screening.block')
  UNION ALL
  SELECT {LANE}, 'missed:' || class, 1
    FROM happened CROSS JOIN LATERAL jsonb_array_elements_text(detail->'classes') AS class WHERE kind = 'rescan.hit'
), valued AS (
  SELECT {LANE}, 'wait' AS name, wait_ms::numeric AS value FROM started
  UNION ALL
  SELECT {LANE}, 'time', took_ms FROM change WHERE is_delivered = 1
  UNION ALL
  SELECT {LANE}, 'stage:' || stage.key, 1000 * stage.value::numeric
    FROM change CROSS JOIN LATERAL jsonb_each_text(stages) AS stage WHERE is_delivered = 1 AND is_repeats = 0
  UNION ALL
  SELECT {LANE}, 'stage:queue', wait_ms FROM change WHERE is_delivered = 1 AND wait_ms IS NOT NULL
  UNION ALL
  SELECT {LANE}, 'tax', 1000 * (screening->>'elapsed_ms')::numeric
    FROM change WHERE is_submitted = 1 AND screening ? 'elapsed_ms'
), placed AS (
  SELECT {LANE}, name, width_bucket(greatest(round(value), 0)::bigint, %(bounds)s::bigint[]) AS bucket, count(*) AS n,
         sum(greatest(round(value), 0))::bigint AS total
    FROM valued GROUP BY {LANE}, name, bucket
), sums AS (
  SELECT {LANE}, name, sum(n) AS n FROM (
    SELECT {LANE}, name, n FROM counted UNION ALL SELECT {LANE}, name || '.sum', total FROM placed) parts
   GROUP BY {LANE}, name HAVING sum(n) <> 0
), counts AS (
  SELECT {LANE}, jsonb_object_agg(name, n) AS counts FROM sums GROUP BY {LANE}
), spreads AS (
  SELECT {LANE}, jsonb_object_agg(name, buckets) AS spreads FROM (
    SELECT {LANE}, name, jsonb_object_agg(bucket, n) AS buckets FROM placed GROUP BY {LANE}, name) named
   GROUP BY {LANE}
)
INSERT INTO console_rollup (grain, at, pool, tier, model, counts, spreads)
SELECT {MINUTE}, minute, pool, tier, model, coalesce(counts, '{{}}'), coalesce(spreads, '{{}}')
  FROM counts FULL JOIN spreads USING ({LANE})
"""  # noqa: S608  every part is from this code
EVENTS = f"""
INSERT INTO console_rolledminute (minute, events, job_event_id, whole, at)
SELECT t.minute, count(e.id), %(newest)s, t.minute + interval '1 minute' <= %(now)s::timestamptz, %(now)s
  FROM generate_series(%(since)s::timestamptz, %(until)s::timestamptz - interval '1 minute', '1 minute') t(minute)
  LEFT JOIN generation_jobevent e ON e.at >= %(since)s AND e.at < %(until)s AND {_minute_of("e.at")} = t.minute
 GROUP BY t.minute
ON CONFLICT (minute) DO UPDATE
   SET events = excluded.events, job_event_id = excluded.job_event_id, whole = excluded.whole, at = excluded.at
"""  # noqa: S608


def roll(since: datetime, until: datetime, newest: int, now: datetime) -> None:
    """Count the minutes from `since` to `until`, both full minutes; `newest` is the number of the newest job event.

    Inside the caller's transaction, which holds the round. Three queries.
    """
    values = {
        "since": since,
        "until": until,
        "now": now,
        "newest": newest,
        "bounds": list(BOUNDS),
        "retries": list(RETRIES),
    }
    with connection.cursor() as cursor:
        # First the number of events: one that is committed in between makes the minute look changed, and it is redone.
        cursor.execute(EVENTS, values)
        cursor.execute(
            "DELETE FROM console_rollup WHERE grain = %s AND at >= %s AND at < %s", [MINUTE, since, until]
        )
        cursor.execute(ROLL, values)

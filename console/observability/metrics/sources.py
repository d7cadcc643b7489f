"""What is counted: for each table that only grows, a query from a span of its rows to (series, labels, value).

A source's rows are numbered. Those of `unfinished` still change; counting waits for them, and what has ended behind
them is read anew at each scrape. Series are the families of catalog.py; a histogram has `NAME#PLACE` per bucket, where
PLACE is the number of bounds below a value, and `NAME#sum`.
"""

from dataclasses import dataclass

from console.observability.metrics import catalog


@dataclass(frozen=True)
class Source:
    """`rows` selects (series, labels, value) of the rows behind %(after)s up to %(upto)s, in SQL."""

    name: str
    table: str
    rows: str
    unfinished: str = ""


def _counter(key: str, labels: str, value: str = "count(*)", where: str = "true", of: str = "seen") -> str:
    """A counter over the common table expression `of`; `labels` are SQL expressions, comma-separated."""
    return (
        f"SELECT '{key}' AS series, ARRAY[{labels}]::text[] AS labels, ({value})::float8 AS value"  # noqa: S608
        f" FROM {of} WHERE {where} GROUP BY 2 HAVING ({value}) <> 0"
    )


def _histogram(key: str, labels: str, seconds: str, where: str = "true", of: str = "seen") -> str:
    """Buckets and sum of a histogram; a value equal to a bound belongs to that bound's bucket, as `le` says."""
    bounds = ",".join(map(str, catalog.BY_KEY[key].buckets))
    place = f"(SELECT count(*) FROM unnest(ARRAY[{bounds}]::float8[]) b WHERE b < ({seconds}))"
    return (
        f"SELECT '{key}#' || place, labels, count(*)::float8 FROM ("  # noqa: S608
        f"SELECT {place} AS place, ARRAY[{labels}]::text[] AS labels FROM {of} WHERE {where}) p GROUP BY 1, 2"
        f" UNION ALL SELECT '{key}#sum', ARRAY[{labels}]::text[], sum({seconds})::float8"
        f" FROM {of} WHERE {where} GROUP BY 2"
    )


def _of(seen: str, *parts: str) -> str:
    return f"WITH {seen} " + " UNION ALL ".join(parts)


# Times are never negative, whatever a clock that was set back says of them.
JOB_EVENTS = _of(
    """
seen AS MATERIALIZED (
  SELECT e.from_state, e.to_state, j.kind, l.tier_id AS tier, m.name AS model, j.error_code AS code,
         j.repeat_of_id IS NOT NULL AS repeated, j.tokens_in, j.tokens_out,
         a.id IS NOT NULL AS first_start, w.id IS NOT NULL AS spoke,
         greatest(0, extract(epoch FROM j.started_at - j.queued_at))::float8 AS waited,
         greatest(0, extract(epoch FROM j.finished_at - j.queued_at))::float8 AS took,
         greatest(0, extract(epoch FROM w.at - j.queued_at))::float8 AS first_word, t.target_s
    FROM generation_jobevent e
    JOIN generation_job j ON j.id = e.job_id
    JOIN generation_lane l ON l.slug = j.lane_id
    JOIN generation_registeredmodel m ON m.id = j.model_id
    LEFT JOIN generation_attempt a ON e.to_state = 'running' AND a.fence = e.fence AND a.started_at = j.started_at
    LEFT JOIN generation_tokensegment w
      ON e.to_state = 'delivered' AND j.kind = 'code' AND w.job_id = j.id AND w.seq = 1
    LEFT JOIN LATERAL (
      SELECT s.target_s FROM billing_slatarget s
       WHERE e.to_state = 'delivered' AND j.kind = 'clip' AND s.tier_id = l.tier_id AND s.model IN ('', m.name)
         AND s.max_seconds >= (j.spec->>'seconds')::float AND s.effective_from <= j.queued_at
       ORDER BY s.model = '', s.max_seconds, s.effective_from DESC LIMIT 1) t ON true
   WHERE e.id > %(after)s AND e.id <= %(upto)s)
""",
    _counter("jobs_submitted", "kind, tier", where="from_state = ''"),
    _counter(
        "jobs_ended",
        "kind, tier, to_state",
        where="to_state IN ('delivered', 'withdrawn', 'blocked', 'cancelled', 'failed')",
    ),
    _counter("jobs_failed", "kind, tier, code", where="to_state = 'failed'"),
    _counter("jobs_repeated", "kind, tier", where="to_state = 'delivered' AND repeated"),
    _counter("jobs_requeued", "kind, tier", where="from_state = 'running' AND to_state = 'queued'"),
    _histogram("job_queue_wait_seconds", "kind, tier", "waited", "first_start"),
    _histogram(
        "job_time_in_system_seconds",
        "kind, tier",
        "took",
        "to_state = 'delivered' AND NOT repeated AND from_state <> 'review'",
    ),
    _counter(
        "clip_deliveries",
        "tier, CASE WHEN took <= target_s THEN 'true' ELSE 'false' END",
        where="target_s IS NOT NULL AND from_state <> 'review'",
    ),
    _histogram("code_first_token_seconds", "tier", "first_word", "spoke"),
    _counter(
        "code_tokens",
        "model, 'input'",
        "sum(tokens_in)",
        "kind = 'code' AND to_state IN ('delivered', 'cancelled')",
    ),
    _counter(
        "code_tokens",
        "model, 'output'",
        "sum(tokens_out)",
        "kind = 'code' AND to_state IN ('delivered', 'cancelled')",
    ),
)

ATTEMPTS = _of(
    """
seen AS MATERIALIZED (
  SELECT l.pool_id AS pool, l.tier_id AS tier, p.kind, a.outcome, a.gpu_ms, a.saved_gpu_ms, a.checkpoints,
         a.checkpoint_bytes, a.preempt_requested_at, a.stages, greatest(0, a.step - a.resumed_from_step) AS steps,
         a.resumed_from_step AS resumed
    FROM generation_attempt a JOIN generation_lane l ON l.slug = a.lane_id JOIN generation_pool p ON p.slug = l.pool_id
   WHERE a.id > %(after)s AND a.id <= %(upto)s AND a.ended_at IS NOT NULL),
staged AS (SELECT pool, s.key AS stage, s.value::float8 AS seconds FROM seen, jsonb_each_text(stages) s)
""",
    _counter("attempts", "pool, outcome"),
    _counter("device_seconds", "pool, tier, outcome", "sum(gpu_ms) / 1000.0"),
    _counter("device_saved_seconds", "pool", "sum(saved_gpu_ms) / 1000.0"),
    _counter("denoising_steps", "pool, outcome", "sum(steps)", "kind = 'clip'"),
    _counter("denoising_steps_resumed", "pool", "sum(resumed)", "kind = 'clip'"),
    _counter("checkpoints", "pool", "sum(checkpoints)"),
    _counter("checkpoint_written_bytes", "pool", "sum(checkpoint_bytes)"),
    _counter("preemptions", "pool", where="preempt_requested_at IS NOT NULL"),
    _histogram("attempt_stage_seconds", "pool, stage", "seconds", of="staged"),
)

OPERATIONAL_EVENTS = _of(
    "seen AS (SELECT kind, severity FROM accounts_operationalevent WHERE id > %(after)s AND id <= %(upto)s)",
    _counter("operational_events", "kind, severity"),
)

SCANS = _of(
    "seen AS MATERIALIZED (SELECT purpose, verdict, elapsed_ms / 1000.0 AS seconds FROM safety_scan"
    " WHERE id > %(after)s AND id <= %(upto)s AND finished_at IS NOT NULL)",
    _counter("frame_scans", "purpose, verdict"),
    _histogram("frame_scan_seconds", "purpose", "seconds"),
)

CREDENTIALS = _of(
    "seen AS (SELECT state FROM safety_credential WHERE id > %(after)s AND id <= %(upto)s)",
    _counter("credentials", "state"),
)

ENTRIES = _of(
    """
seen AS (
  SELECT t.kind AS transaction, a.kind AS account, e.amount
    FROM billing_entry e JOIN billing_transaction t ON t.id = e.transaction_id
    JOIN billing_account a ON a.id = e.account_id
   WHERE e.id > %(after)s AND e.id <= %(upto)s AND e.amount > 0)
""",
    _counter("ledger_credits", "transaction, account", "sum(amount) / 1e6"),
)

CHARGES = _of(
    """
seen AS (
  SELECT u.operation, u.outcome, c.amount FROM billing_charge c JOIN billing_usageevent u ON u.id = c.usage_event_id
   WHERE c.id > %(after)s AND c.id <= %(upto)s)
""",
    _counter("credits_charged", "operation, outcome", "sum(amount) / 1e6"),
    _counter("charges", "operation, outcome"),
)

SOURCES = (
    Source("job_events", "generation_jobevent", JOB_EVENTS),
    Source("attempts", "generation_attempt", ATTEMPTS, "ended_at IS NULL"),
    Source("operational_events", "accounts_operationalevent", OPERATIONAL_EVENTS),
    # A look that its process didn't survive is never finished: nobody waits for it longer than any look may take.
    Source(
        "scans",
        "safety_scan",
        SCANS,
        "finished_at IS NULL AND started_at > clock_timestamp() - interval '1 hour'",
    ),
    Source("credentials", "safety_credential", CREDENTIALS),
    Source("entries", "billing_entry", ENTRIES),
    Source("charges", "billing_charge", CHARGES),
)

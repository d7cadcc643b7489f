"""Claims a second with many jobs waiting, beside a bare SKIP LOCKED claim of the same tables in the same run."""

from collections.abc import Iterable

from django.db import connection, transaction

from bench.harness import Figure, Run, per_second, percentile, seconds
from generation import dispatch
from generation.models import Worker

ORGANIZATIONS = 1_000
WAITING = (1_000, 10_000, 100_000)
CLAIMS = 100

# The machinery around a job without the money: the rows that a claim reads are real, their holds are fillers.
FILL = """
INSERT INTO accounts_organization (slug, name) SELECT 'bench-' || n, 'Bench ' || n FROM generate_series(1, %(orgs)s) n
  ON CONFLICT DO NOTHING;
CREATE TEMP TABLE bench_organizations AS
  SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM accounts_organization WHERE slug LIKE 'bench-%%';
INSERT INTO generation_job (id, organization_id, source, kind, model_id, lane_id, prompt, spec, spec_hash, seed, steps,
    state, state_cause, state_at, fence, ahead_of_lane, attempts_failed, units_micro, estimate_gpu_ms, quote_micro,
    hold_id, decision_id, screening, request_hash, created_at, queued_at, error_code, error_message, steps_run,
    checkpoints, tokens_in, tokens_out, finish_reason, stages, device)
  SELECT gen_random_uuid(), o.id, 'bench', 'clip', (SELECT id FROM generation_registeredmodel WHERE kind = 'clip'),
    'clips-' || (ARRAY['free', 'plus', 'pro', 'enterprise'])[1 + n %% 4], 'bench', '{}', 'x', n, 50,
    'queued', 'bench', now(), 0, false, 0, 1000000, 4000, 300000,
    -n, gen_random_uuid(), '{}', 'x', now(), now() + n * interval '1 millisecond', '', '', 0, 0, 0, 0, '', '{}', ''
  FROM generate_series(%(first)s, %(last)s) n JOIN bench_organizations o ON o.place = (n / 4) %% %(orgs)s;
"""

BARE = """
UPDATE generation_job SET ahead_of_lane = ahead_of_lane WHERE id = (
  SELECT id FROM generation_job WHERE state = 'queued' AND lane_id = 'clips-plus'
   ORDER BY queued_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id
"""


def measure(run: Run) -> Iterable[Figure]:
    """`claims_per_second_*` and `claim_p99_ms_*` at each depth of backlog."""
    worker = Worker.objects.create(
        pool_id="clips", host="bench", pid=1, device="none", seen_at=dispatch.clock()
    )
    filled = 0
    for waiting in WAITING:
        _fill(filled + 1, waiting)
        filled = waiting
        times: list[float] = []
        ours, bare = run.beside(lambda: per_second(CLAIMS, lambda: _claim_many(worker, times)), _bare_rate)  # noqa: B023
        depth = f"{waiting // 1000}k"
        reference = "bare SKIP LOCKED claim"
        yield Figure(f"claims_per_second_{depth}", ours, "claims/s", reference, bare)
        yield Figure(f"claim_p99_ms_{depth}", percentile(times, 0.99) * 1000, "ms", reference, 1000 / bare)


def _fill(first: int, last: int) -> None:
    """Jobs `first` to `last`, over all lanes and organizations. Their holds do not exist: only this database may."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Foreign keys are triggers too, and so are the counts and events, which must run: so the keys go.
        for column in ("hold_id", "decision_id"):
            cursor.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'generation_job'::regclass"
                " AND contype = 'f' AND conname LIKE %s",
                [f"%{column}%"],
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'ALTER TABLE generation_job DROP CONSTRAINT "{name}"')
        cursor.execute(FILL, {"orgs": ORGANIZATIONS, "first": first, "last": last})
        cursor.execute("DROP TABLE bench_organizations")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE generation_job, generation_laneorganization")


def _claim_many(worker: Worker, times: list[float]) -> None:
    for _ in range(CLAIMS):
        times.append(seconds(lambda: dispatch.claim(worker, "clips")))


def _bare_rate() -> float:
    def claim_all() -> None:
        with connection.cursor() as cursor:
            for _ in range(CLAIMS):
                cursor.execute(BARE)

    return per_second(CLAIMS, claim_all)

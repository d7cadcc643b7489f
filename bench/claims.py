"""Claims a second with many jobs waiting, beside a bare SKIP LOCKED claim in the same run.

The bare claim takes the oldest row of a plain table with one index and nothing else: no lanes, attempts, counts or
events. Every measured claim of ours also puts as many ended attempts right, as in a pool that runs steadily.
Beside wall times it reports processor time, the claimer's and its database backend's together, from what the kernel
counted for the two: other work of the machine is not in it. (Linux, with the database on the same machine.)
"""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from django.db import connection, transaction

from bench import tickets
from bench.admission import models_serve, roomy_terms
from bench.harness import Figure, Run, percentile, seconds
from generation import dispatch
from generation.models import Worker

ORGANIZATIONS = 1_000
WAITING = (1_000, 10_000, 100_000)
BATCH = 16
ROUNDS = {1: 500, BATCH: 100}  # a p99 of fewer is the slowest one, whatever that met
CLAIMERS = 4

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
INSERT INTO bench_bare (state, queued_at)
  SELECT 'queued', now() + n * interval '1 millisecond' FROM generate_series(%(first)s, %(last)s) n;
DROP TABLE bench_organizations;
"""
PREPARE = """
CREATE TABLE bench_bare (id bigserial PRIMARY KEY, state text NOT NULL, queued_at timestamptz NOT NULL);
CREATE INDEX ON bench_bare (queued_at) WHERE state = 'queued';
"""
BARE = """
UPDATE bench_bare SET state = 'running' WHERE id = ANY (ARRAY(
  SELECT id FROM bench_bare WHERE state = 'queued' ORDER BY queued_at LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING id
"""
# Not measured: what was claimed goes back to where it was, so that as many wait for the next round.
RETURN = """
UPDATE generation_attempt SET ended_at = clock_timestamp(), outcome = 'handed_back', gpu_ms = charged_gpu_ms
 WHERE ended_at IS NULL;
UPDATE generation_job SET state = 'queued', state_cause = 'bench' WHERE state = 'running';
UPDATE bench_bare SET state = 'queued' WHERE state = 'running';
"""


def measure(run: Run) -> Iterable[Figure]:
    """The way from ticket to start; then rates and times of one claim and of a batch, and the rate of several claimers,
    at each depth of backlog."""
    models_serve()
    roomy_terms()
    yield from tickets.measure()
    worker = Worker.objects.create(
        pool_id="clips", host="bench", pid=1, device="none", seen_at=dispatch.clock()
    )
    _prepare()
    filled, at_depth = 0, {}
    for waiting in WAITING:
        _fill(filled + 1, waiting)
        filled = waiting
        depth = f"{waiting // 1000}k"
        for count in (1, BATCH):
            ours, bare = _in_turns(worker, count)
            yield from _figures(ours, bare, count, depth)
            at_depth[count, waiting] = ours
        yield _several(worker, depth)
    for count in (1, BATCH):
        few, many = at_depth[count, WAITING[0]], at_depth[count, WAITING[-1]]
        for kind in ("wall", "processor"):
            growth = _p99(many, kind) / _p99(few, kind)
            yield Figure(f"p99_growth_{kind}_{_name(count)}", growth, "times", "the aim: less than", 2.0)


class Took(NamedTuple):
    """Seconds of one claim; `processor` is NaN where the kernel doesn't tell."""

    wall: float
    processor: float


def _p99(took: list[Took], kind: str) -> float:
    return percentile([getattr(one, kind) for one in took], 0.99)


def _name(count: int) -> str:
    return "single" if count == 1 else f"batch_of_{count}"


def _figures(ours: list[Took], bare: list[Took], count: int, depth: str) -> Iterable[Figure]:
    name, reference = f"{_name(count)}_{depth}", f"bare SKIP LOCKED claim of {count}"
    rates = [count * len(took) / sum(one.wall for one in took) for took in (ours, bare)]
    yield Figure(f"claims_per_second_{name}", rates[0], "claims/s", reference, rates[1])
    for share in (0.5, 0.99):
        here, there = (1000 * percentile([one.wall for one in took], share) for took in (ours, bare))
        yield Figure(f"claim_p{share * 100:.0f}_ms_{name}", here, "ms", reference, there)
    per_second = [count / median(one.processor for one in took) for took in (ours, bare)]
    yield Figure(f"claims_per_processor_second_{name}", per_second[0], "claims/s", reference, per_second[1])


def _in_turns(worker: Worker, count: int) -> tuple[list[Took], list[Took]]:
    """The times of our claims and of bare ones, in turns; the first few don't count."""
    ours, bare = [], []
    backend = _backend()
    for _ in range(ROUNDS[count] + 10):
        ours.append(_took(lambda: _claim(worker, count), backend))
        bare.append(_took(lambda: _claim_bare(count), backend))
        _execute(RETURN)
    return ours[10:], bare[10:]


def _backend() -> Path:
    """What the kernel counts for the database's process of this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return Path(f"/proc/{cursor.fetchone()[0]}/schedstat")


def _took(work: Callable[[], None], backend: Path) -> Took:
    before = time.thread_time() + _on_processor(backend)
    wall = seconds(work)
    return Took(wall, time.thread_time() + _on_processor(backend) - before)


def _on_processor(process: Path) -> float:
    """Seconds that a process was on a processor; NaN where that is not told."""
    return int(process.read_text().split()[0]) / 1e9 if process.exists() else float("nan")


def _claim(worker: Worker, count: int) -> None:
    if len(dispatch.claim_many(worker, "clips", count)) != count:
        raise RuntimeError("fewer jobs were claimed than wait")


def _claim_bare(count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(BARE, [count])


def _several(worker: Worker, depth: str) -> Figure:
    """Claimers at once on connections of their own, in batches, beside as many bare ones."""
    ours = _at_once(lambda: _claim(worker, BATCH))
    bare = _at_once(lambda: _claim_bare(BATCH))
    _execute(RETURN)
    dispatch.claim(worker, "clips")  # puts right what the return ended, so that no measured claim does
    _execute(RETURN)
    return Figure(
        f"claims_per_second_{CLAIMERS}_claimers_{depth}", ours, "claims/s", f"{CLAIMERS} bare ones", bare
    )


def _at_once(claim: Callable[[], None], each: int = 8) -> float:
    """Claims a second over all claimers, by the wall clock."""

    def claim_all() -> None:
        try:
            for _ in range(each):
                claim()
        finally:
            connection.close()

    def race() -> None:
        threads = [threading.Thread(target=claim_all) for _ in range(CLAIMERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return CLAIMERS * each * BATCH / seconds(race)


def _prepare() -> None:
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
        cursor.execute(PREPARE)


def _fill(first: int, last: int) -> None:
    """Jobs `first` to `last`, over all lanes and organizations. Their holds do not exist: only this database may."""
    _execute(FILL, {"orgs": ORGANIZATIONS, "first": first, "last": last})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE generation_job, generation_laneorganization, bench_bare")


def _execute(statements: str, values: dict | None = None) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statements, values)

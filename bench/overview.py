"""The overview with ten million jobs in the database: server time of the page, of each chart, of a list behind a point.

`make bench NAME=overview [SHORT=1]`: short with a hundred thousand, `OVERVIEW_JOBS=n` with so many. The rows are real
ones of the tables that the service writes (jobs, their events, an attempt each), spread over thirty days with two
thousand that wait; they go in past triggers and references, and their decisions and holds are left out, which nothing
here reads. Then everything is counted by `manage.py rollups`, as it would be, and pages are asked for through the whole
stack. Reference: the 300 ms that an answer may take.
"""

import os
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402

from accounts import organizations, second_factor, staff  # noqa: E402
from accounts.models import StaffRole, User  # noqa: E402
from bench.harness import Figure, Run  # noqa: E402
from console.overview import figures, rounds  # noqa: E402
from generation import dispatch  # noqa: E402
from generation.models import RegisteredModel, Worker  # noqa: E402

JOBS = int(os.environ.get("OVERVIEW_JOBS") or (100_000 if os.environ.get("SHORT") == "1" else 10_000_000))
AT_ONCE, WAITING, DAYS = 250_000, 2_000, 30
BOUND_MS = 300.0
QUERIES = ("range=1h", "range=6h", "range=24h", "range=7d", "range=30d", "range=24h&tier=plus&compare=week")

# Deterministic in n, so that three tables tell the same story.
PLAN = """
  SELECT n, lpad(to_hex(n), 32, '0')::uuid AS id, %(begin)s::timestamptz + n * %(step)s::interval AS at,
         (ARRAY['free', 'free', 'free', 'free', 'free', 'plus', 'plus', 'plus', 'pro',
                'enterprise'])[1 + n %% 10] AS tier,
         least(-ln(1 - (n * 104729 %% 9973) / 9973.0) * 8, 300) * interval '1 second' AS wait,
         (20 + 40 * (n * 7919 %% 1000) / 1000.0) * interval '1 second' AS run,
         CASE WHEN n > %(jobs)s - %(waiting)s THEN 'queued' WHEN n %% 1000 < 5 THEN 'failed'
              WHEN n %% 1000 < 15 THEN 'blocked' WHEN n %% 1000 < 35 THEN 'cancelled' ELSE 'delivered' END AS state
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
"""
JOB = f"""
INSERT INTO generation_job (
  id, source, kind, prompt, spec, spec_hash, seed, steps, state, state_cause, state_at, fence, ahead_of_lane,
  attempts_failed, units_micro, estimate_gpu_ms, quote_micro, charge_micro, screening, request_hash, created_at,
  queued_at, started_at, finished_at, error_code, error_message, steps_run, checkpoints, tokens_in, tokens_out,
  finish_reason, stages,
  device, decision_id, hold_id, organization_id, lane_id, model_id)
SELECT id, 'api', 'clip', 'a ball', '{{"seconds": 2}}', '', n, 30, state, 'bench', at, n, false, 0,
       1000000, 40000, 300000,
       CASE state WHEN 'delivered' THEN 300000 WHEN 'queued' THEN NULL ELSE 0 END,
       jsonb_build_object('elapsed_ms', 3 + n %% 20, 'category', CASE WHEN n %% 7 = 0 THEN 'violence' ELSE '' END),
       '', at, at,
       CASE WHEN state <> 'queued' THEN at + wait END, CASE WHEN state <> 'queued' THEN at + wait + run END,
       CASE WHEN state = 'failed' THEN CASE WHEN n %% 2 = 0 THEN 'not_finite' ELSE 'internal_error' END
            ELSE '' END, '',
       CASE state WHEN 'delivered' THEN 30 ELSE 0 END, 3, 0, 0, '',
       CASE state WHEN 'delivered' THEN jsonb_build_object('denoise', extract(epoch FROM run) * 0.8, 'decode', 2,
            'encode', 1, 'scan', 1.5, 'sign', 0.1) ELSE '{{}}' END,
       'bench', id, n, %(organization)s, 'clips-' || tier, %(model)s
  FROM ({PLAN}) plan
"""  # noqa: S608
EVENT = f"""
INSERT INTO generation_jobevent (job_id, at, from_state, to_state, cause, fence)
SELECT id, moment, from_state, to_state, 'bench', n FROM ({PLAN}) plan CROSS JOIN LATERAL (VALUES
       (at, '', 'queued'), (at + wait, 'queued', 'running'), (at + wait + run * 0.9, 'running', 'finishing'),
       (at + wait + run, 'finishing', state)) AS e(moment, from_state, to_state)
 WHERE state <> 'queued' OR from_state = ''
"""  # noqa: S608
ATTEMPT = f"""
INSERT INTO generation_attempt (
  fence, lease_seconds, lease_expires_at, started_at, ended_at, outcome, detail, step, stage, resumed_from_step,
  checkpoints,
  preview, device, threads, stages, refused_checkpoints, charged_gpu_ms, charged_weight, gpu_ms, corrected,
  organization_id,
  job_id, lane_id, worker_id)
SELECT n, 30, at + wait, at + wait, at + wait + run, state, '', 30, 'store', 0, 3,
       '', 'bench', 1, '{{}}', '{{}}', 40000, 1, (1000 * extract(epoch FROM run))::bigint, true, %(organization)s, id,
       'clips-' || tier, %(worker)s
  FROM ({PLAN}) plan WHERE state <> 'queued'
"""  # noqa: S608
TABLES = ("generation_job", "generation_jobevent", "generation_attempt")


def measure(run: Run) -> Iterable[Figure]:
    """`overview_*_ms`: the slowest median over all ranges, for the page, its moving part, each chart and the lists."""
    settings.ALLOWED_HOSTS = ["*"]
    client, now = _operator(), _fill()
    print(f"# {JOBS:,} jobs are in; counting them", flush=True)
    began = time.monotonic()
    rounds.recompute(now - timedelta(days=DAYS), dispatch.clock(), lambda line: None)
    took = time.monotonic() - began
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE console_rollup, console_waitingages")
    minutes = DAYS * 24 * 60
    yield Figure("overview_recount_minutes_per_s", minutes / took, "1/s", "as fast as they pass", 1 / 60)
    pages = {"page": "/operate/?{}", "now": "/operate/overview/now?{}"}
    pages |= {figure.name: f"/operate/overview/{figure.name}/?{{}}" for figure in figures.FIGURES}
    for name, address in pages.items():
        slowest = max(_median_ms(run, client, address.format(query)) for query in QUERIES)
        yield Figure(f"overview_{name}_ms", slowest, "ms", "what an answer may take", BOUND_MS)
    for name, hours in (("minute", 1 / 60), ("hour", 1), ("day", 24)):
        end = dispatch.clock() - timedelta(hours=1)
        span = f"from={_iso(end - timedelta(hours=hours))}&to={_iso(end)}"
        slowest = max(
            _median_ms(run, client, f"/operate/jobs/?did={did}&{span}")
            for did in ("ended", "waited", "blocked")
        )
        yield Figure(f"overview_list_of_a_{name}_ms", slowest, "ms", "what an answer may take", BOUND_MS)
    yield Figure("overview_round_ms", _median(run, _round), "ms", "the 20 s between two rounds", 20_000)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _median_ms(run: Run, client: Client, address: str) -> float:
    def once() -> float:
        began = time.perf_counter()
        response = client.get(address, headers={"HX-Request": "true"} if "/overview/" in address else {})
        took = time.perf_counter() - began
        if response.status_code != 200:
            raise RuntimeError(f"{address} answered {response.status_code}")
        return 1000 * took

    return run.median(once)


def _median(run: Run, work) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - began)

    return run.median(once)


def _round() -> None:
    rounds.run(dispatch.clock())


def _operator() -> Client:
    user = User.objects.create_user("overview@example.com")
    staff.grant(user, StaffRole.Role.OPERATOR, "bench", "for this benchmark")
    second_factor.enrol_app(user, second_factor.new_secret())
    client = Client()
    client.force_login(user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return client


def _fill() -> datetime:
    """The rows, oldest first; when the newest was submitted."""
    owner = User.objects.create_user("fleet@example.com")
    now = dispatch.clock()
    worker = Worker.objects.create(
        pool_id="clips", host="bench", pid=1, device="none", slots=400, seen_at=now
    )
    Worker.objects.filter(pk=worker.pk).update(started_at=now - timedelta(days=DAYS))
    values = {
        "begin": now - timedelta(days=DAYS),
        "step": timedelta(days=DAYS) / JOBS,
        "jobs": JOBS,
        "waiting": WAITING,
        "organization": organizations.create("fleet", "plus", owner).pk,
        "model": RegisteredModel.objects.filter(kind="clip").values_list("pk", flat=True).first(),
        "worker": worker.pk,
    }
    indexes, began = _without_indexes(), time.monotonic()
    for first in range(1, JOBS + 1, AT_ONCE):
        chunk = {**values, "first": first, "last": min(first + AT_ONCE - 1, JOBS)}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("SET LOCAL synchronous_commit = off")
            for insert in (JOB, EVENT, ATTEMPT):
                cursor.execute(insert, chunk)
        print(f"# {chunk['last']:,} jobs after {time.monotonic() - began:.0f} s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for statement in [*indexes, *(f"VACUUM (ANALYZE) {table}" for table in TABLES)]:
            cursor.execute(statement)
    return now


def _without_indexes() -> list[str]:
    """Take away what is no constraint while rows go in; how to make it again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND NOT EXISTS ("
            " SELECT FROM pg_constraint WHERE conname = indexname)",
            [list(TABLES)],
        )
        found = cursor.fetchall()
        for name, _ in found:
            cursor.execute(f'DROP INDEX "{name}"')
    return [definition for _, definition in found]

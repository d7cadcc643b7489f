"""Whether this process lives, and whether the installation can serve: for supervisors and load balancers.

The readiness probe opens connections of its own, so that it answers within seconds when the pool waits for a
database that has gone.
"""

import time

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse

from safety.scorer.client import Scorers, Unanswered

STARTED = time.monotonic()
PROBE_S = 2
# A worker says that it is there every few seconds; this long without a word and it doesn't count.
WORKER_SEEN_S = 20
LIVE_WORKERS = """
SELECT p.slug, count(w.id)
  FROM generation_pool p
  LEFT JOIN generation_worker w ON w.pool_id = p.slug AND w.stopped_at IS NULL AND w.desired = 'run'
       AND w.seen_at > clock_timestamp() - make_interval(secs => %s)
 GROUP BY p.slug ORDER BY p.slug
"""


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers. Touches nothing else, so that a database outage restarts no web process."""
    return _answer({"status": "ok", "uptime_s": round(time.monotonic() - STARTED, 1)})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 where database, Redis, a scorer and a live worker in every pool are there; else 503 and what is missing."""
    workers, database_fault = _workers()
    redis_fault = _redis_fault()
    missing = [name for name, fault in (("database", database_fault), ("redis", redis_fault)) if fault]
    missing += [f"workers:{pool}" for pool, count in workers.items() if count == 0]
    scorer_fault = _scorer_fault()
    if scorer_fault:
        missing.append("scorer")
    if not database_fault and not workers:
        missing.append("pools")
    body = {
        "status": "not ready" if missing else "ready",
        "missing": missing,
        "database": database_fault or "ok",
        "redis": redis_fault or "ok",
        "scorer": scorer_fault or "ok",
        "workers": workers,
    }
    return _answer(body, status=503 if missing else 200)


def database_fault() -> str | None:
    """What is wrong with the database, within seconds; None where it answers."""
    return _workers()[1]


def _answer(body: dict, status: int = 200) -> JsonResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})


def _workers() -> tuple[dict[str, int], str | None]:
    """(pool → live workers, None), or ({}, what is wrong with the database)."""
    parameters = connection.get_connection_params() | {"connect_timeout": PROBE_S, "autocommit": True}
    parameters["options"] = f"-c statement_timeout={PROBE_S * 1000}"
    try:
        with psycopg.connect(**parameters) as probe:
            return dict(probe.execute(LIVE_WORKERS, [WORKER_SEEN_S]).fetchall()), None
    except psycopg.Error as error:
        return {}, _plain(error)


def _redis_fault() -> str | None:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=PROBE_S, socket_connect_timeout=PROBE_S
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:  # ValueError: no address was set at all
        return _plain(error)
    return None


def _scorer_fault() -> str | None:
    """Without a scorer no prompt can be checked, and so none is admitted."""
    probe = Scorers(list(settings.SCORERS), settings.SCORER_SECRET.encode(), PROBE_S)
    try:
        probe.ask({"op": "health"})
    except Unanswered as error:
        return _plain(error)
    finally:
        probe.forget()
    return None


def _plain(error: Exception) -> str:
    """The kind of fault and no more: addresses and users belong in the log, not in an open answer."""
    return type(error).__name__

"""The two workers of the live rush, of one kind: a Celery worker with so many threads, each a slot that only waits.

`ours` runs what a ticket starts: it claims by `generation.dispatch` until nothing waits, sleeps for the clip's time and
ends the attempt by `generation.finalization`, so that the next claim puts its estimate right. `priorities` is plain
Celery on Redis with a priority per tier: the task is the clip and sleeps for its time.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django
import redis
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup()

from django.conf import settings  # noqa: E402

from bench.admission import AS_DEPLOYED  # noqa: E402
from generation import dispatch, finalization  # noqa: E402
from generation.finalization import Ran  # noqa: E402
from generation.models import Attempt, Worker  # noqa: E402
from generation.scheduling.leases import lease_of  # noqa: E402

POOL = "clips"
QUEUE = "bench.priorities"
# Of the transport's priorities 0 goes first.
PRIORITY = {"enterprise": 0, "pro": 3, "plus": 6, "free": 9}
LOG = "bench.priorities.log"
STARTS_WITHIN_S = 180

ours = Celery("bench-ours")
ours.config_from_object("django.conf:settings", namespace="CELERY")

priorities = Celery("bench-priorities", broker=settings.CELERY_BROKER_URL, set_as_current=False)
priorities.conf.update(
    task_ignore_result=True,
    # What its documentation says of priorities on Redis: steps, the strategy, one message a slot, acknowledged late.
    broker_transport_options={
        "priority_steps": sorted(PRIORITY.values()),
        "queue_order_strategy": "priority",
    },
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    worker_disable_prefetch=os.environ.get("RUSH_DISABLE_PREFETCH", "1") == "1",
    broker_connection_retry_on_startup=True,
)
log = redis.Redis.from_url(settings.CELERY_BROKER_URL)
_opening = threading.Lock()
_own: list[Worker] = []


@ours.task(name="generation.tasks.work")
def work(pool_slug: str) -> None:
    """A ticket: clips until none is left for this slot."""
    worker = _worker(pool_slug)
    while attempt := dispatch.claim(worker, pool_slug):
        run(attempt)


def run(attempt: Attempt) -> None:
    """One clip on an engine that only waits, to an end that needs no file: it goes to review."""
    began = time.monotonic()
    time.sleep(attempt.job.spec["run_s"])
    ran = Ran(gpu_ms=round(1000 * (time.monotonic() - began)), steps=attempt.job.steps)
    lease = lease_of(attempt)
    finalization.begin_finishing(lease, ran)
    finalization.send_to_review(lease, ran, "a benchmark ends here")


def _worker(pool_slug: str) -> Worker:
    with _opening:
        if not _own:
            now = dispatch.clock()
            _own.append(
                Worker.objects.create(
                    pool_id=pool_slug, host="bench", pid=os.getpid(), device="none", seen_at=now
                )
            )
        return _own[0]


@priorities.task(name="bench.clip")
def clip(number: int, run_s: float) -> None:
    """A clip of the baseline; when it started and ended is noted in Redis."""
    began = time.time()
    time.sleep(run_s)
    log.rpush(LOG, f"{number} {began} {time.time()}")


@contextmanager
def working(app: str, queue: str, slots: int) -> Iterator[None]:
    """A worker with so many slots, from when it answers until the end of the block."""
    quiet = ["-W", "ignore:You're running the worker with superuser privileges", "-m", "celery", "--quiet"]
    command = [sys.executable, *quiet, "-A", f"bench.rush_worker:{app}", "worker", "-Q", queue]
    command += ["--pool=threads", "-c", str(slots), "--without-gossip", "--without-mingle"]
    command += ["--loglevel=ERROR", "-n", f"{app}@%h"]
    environment = {**os.environ, **AS_DEPLOYED, "DATABASE_POOL": str(slots + 4)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_for(app, process)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(app: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    control = {"ours": ours, "priorities": priorities}[app].control
    while not any(f"{app}@" in name for answer in control.ping(timeout=1.0) for name in answer):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the worker {app} did not start")

"""From the commit of an admission to its attempt: a real ticket, a real Celery worker, a real claim; no engine.

The worker is a process of its own that runs this file's one task, under the name that tickets call: it claims and
keeps what it got. One job waits at a time, so that what is measured is the way and not a queue.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import django
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup()

from django.db import transaction  # noqa: E402

from accounts import organizations  # noqa: E402
from accounts.identity import Caller  # noqa: E402
from accounts.models import User  # noqa: E402
from bench.harness import Figure, percentile, seconds  # noqa: E402
from bench.scoring import scoring  # noqa: E402
from billing import ledger  # noqa: E402
from console.celery import Awake  # noqa: E402
from generation import admission, dispatch, finalization  # noqa: E402
from generation.finalization import Ran  # noqa: E402
from generation.models import Attempt, Worker  # noqa: E402
from generation.scheduling.leases import lease_of  # noqa: E402

SAMPLES = 120
CLIP = {"model": "pocket-video", "prompt": "a red ball rolls over grass", "size": "64x64", "seconds": "2"}
STARTS_WITHIN_S = 120

app = Celery("bench")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(Awake)


@app.task(name="generation.tasks.work")
def work(pool_slug: str) -> None:
    """A ticket, up to the point where the engine would take over."""
    worker, _ = Worker.objects.get_or_create(
        pk="00000000-0000-0000-0000-00000000bec1",
        defaults={
            "pool_id": pool_slug,
            "host": "bench",
            "pid": os.getpid(),
            "device": "none",
            "seen_at": dispatch.clock(),
        },
    )
    dispatch.claim(worker, pool_slug)


def measure() -> Iterable[Figure]:
    """`ticket_to_start_p*_ms`, beside a claim that is called at once, without a ticket."""
    owner = User.objects.create_user("tickets@example.com")
    organization = organizations.create("tickets", "plus", owner)
    opening = {"bucket": "purchased", "idempotency_key": "opening", "reason": "a benchmark"}
    ledger.grant(organization.pk, 10**15, **opening)
    caller = Caller(organization, owner, None, frozenset({"read", "generate"}))
    with scoring(), _celery():
        direct = [_direct(caller) for _ in range(SAMPLES // 4)]
        _by_ticket(caller, patience=STARTS_WITHIN_S)
        times = [_by_ticket(caller) for _ in range(SAMPLES)]
    for share in (0.5, 0.99):
        ours, alone = (1000 * percentile(found, share) for found in (times, direct))
        yield Figure(
            f"ticket_to_start_p{share * 100:.0f}_ms", ours, "ms", "the claim alone, without a ticket", alone
        )


def _direct(caller: Caller) -> float:
    with transaction.atomic():
        job = admission.submit_clip(caller, CLIP)
        transaction.get_connection().run_on_commit.clear()  # no ticket
    worker = Worker.objects.create(
        pool_id="clips", host="bench", pid=1, device="none", seen_at=dispatch.clock()
    )
    took = seconds(lambda: dispatch.claim(worker, "clips"))
    _end(job.pk)
    return took


def _by_ticket(caller: Caller, patience: float = 30.0) -> float:
    """Seconds from the commit of the admission to the start that the attempt's row says."""
    committed: list[float] = []
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(time.time()))  # before the ticket's own
        job = admission.submit_clip(caller, CLIP)
    end = time.monotonic() + patience
    while not (attempt := Attempt.objects.filter(job=job.pk).first()):
        if time.monotonic() > end:
            raise RuntimeError("no worker took the ticket")
        time.sleep(0.005)
    _end(job.pk)
    return attempt.started_at.timestamp() - committed[0]


def _end(job_id) -> None:
    attempt = Attempt.objects.select_related("job").get(job=job_id, ended_at=None)
    finalization.cancel_running(lease_of(attempt), Ran(gpu_ms=attempt.charged_gpu_ms))


@contextmanager
def _celery() -> Iterator[None]:
    """The worker as `make run` starts it, with this module's task."""
    quiet = ["-W", "ignore:You're running the worker with superuser privileges", "-m", "celery", "--quiet"]
    command = [sys.executable, *quiet, "-A", "bench.tickets", "worker", "-Q", "clips"]
    command += ["--pool=threads", "-c", "1", "--without-gossip", "--without-mingle", "--loglevel=ERROR"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)

"""Celery's entries; each makes one call. A ticket is a hint that a pool has work, never the work itself."""

import logging
import threading

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.db import OperationalError, connection
from django.utils import timezone

from accounts import upkeep as accounts_upkeep
from generation import announcements, dispatch, money_upkeep, upkeep
from generation.afterwards import refused_prompts, review_upkeep
from generation.credentials import verification
from generation.evaluation import regular
from generation.models import Pool, RegisteredModel
from generation.scheduling import auto_raise, waits_upkeep

logger = logging.getLogger(__name__)

_stations: dict[str, object] = {}
_opening = threading.Lock()
_leaving = threading.Event()
RETRY_S = 1.0


def _station(pool_slug: str, slots: int = 1):
    """This process's station for a pool, opened (and its models loaded) at the first use."""
    from generation.worker.station import Station

    with _opening:
        if pool_slug not in _stations:
            _stations[pool_slug] = Station(Pool.objects.get(pk=pool_slug), slots)
        return _stations[pool_slug]


def _admit_candidates(pool_slug: str) -> None:
    """Shipped weights that are new here pass the deploy gate first; whatever comes of it, the worker starts."""
    from generation.evaluation import candidates

    candidates.admit(pool_slug)


@worker_ready.connect
def open_stations(sender, **_) -> None:
    """Load the models and say that this worker is there, before its first ticket; once the database lets it."""
    queues, slots = set(sender.app.amqp.queues.consume_from), sender.controller.concurrency
    while not _leaving.is_set():
        try:
            _open_all(queues, slots)
            break
        except OperationalError as error:
            # A worker without its station would take tickets one at a time, whatever its slots.
            logger.warning("the stations can't be opened yet", extra={"error": str(error)})
            connection.close()
            _leaving.wait(RETRY_S)


def _open_all(queues: set[str], slots: int) -> None:
    for pool in Pool.objects.filter(pk__in=queues):
        _admit_candidates(pool.pk)
        _station(pool.pk, slots)


@worker_shutting_down.connect
def stop_between_steps(**_) -> None:
    """SIGTERM: running jobs checkpoint and hand back at their next step."""
    _leaving.set()
    for station in _stations.values():
        station.stopping.set()


@worker_shutdown.connect
def close_stations(**_) -> None:
    for station in _stations.values():
        station.close()


@shared_task(bind=True)
def work(self, pool_slug: str) -> None:
    """A ticket. Where traces are on its header says which request sent it."""
    from generation.worker.loop import work as take_jobs

    take_jobs(_station(pool_slug), self.request.get("traceparent") or "")


@shared_task
def run_gate(model_id: int, author: str) -> None:
    """An operator wants a revision put through the deploy gate on a machine of its pool; they promote it themselves."""
    from generation.evaluation import deploy
    from generation.revisions import loading

    deploy.run(RegisteredModel.objects.get(pk=model_id), loading.load, author)


@shared_task
def reap() -> None:
    """Every few seconds: return what lost its worker, and send the tickets that may have been lost."""
    upkeep.run()


@shared_task
def mind_waits() -> None:
    """Every second: jobs that waited too long take a device; what endpoints say of their load."""
    waits_upkeep.run()


@shared_task
def raise_weights() -> None:
    """Every few seconds: the auto-raise rule looks at how long lanes wait, which counts all that waits."""
    auto_raise.run(dispatch.clock())


@shared_task
def dispatch_outbox() -> None:
    announcements.dispatch()


@shared_task
def keep_accounts() -> None:
    """Seal the audit log, and close requests for approval that nobody decided in time."""
    accounts_upkeep.run()


@shared_task
def mind_money() -> None:
    """Every few seconds: holds that outlive their work, holds that ran out, invoices of months that are over."""
    money_upkeep.run()


@shared_task
def mind_review() -> None:
    """Every few seconds: withdrawn files, pulls under way, what people cleared, pictures for reviewers."""
    review_upkeep.run()


@shared_task
def look_again() -> None:
    """The rolling re-scan, a few clips at a time. On the queue of the clip workers: it decodes and asks every gate."""
    from generation.afterwards import rescan

    rescan.run()


@shared_task
def verify_files() -> None:
    """Every few seconds: read the stored files whose credentials were read longest ago."""
    verification.run()


@shared_task
def forget_refused_prompts() -> None:
    """Daily: prompts that were refused are deleted when they were kept long enough."""
    refused_prompts.forget(timezone.now())


@shared_task
def evaluate() -> None:
    """Nightly: the online bridge, and the weekly evaluation where it is due or was interrupted.

    On the queue of the clip workers, whose machines have the models; in processes of its own, so that clips go on.
    """
    regular.start(timezone.now())


@shared_task
def forget_evaluation_clips() -> None:
    """Daily: the files of old evaluations are deleted; their figures stay."""
    regular.forget_clips()

"""The workers as operators see them: what each is wanted to do and by whom, what it does, and what it has in memory."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Prefetch, Q

from generation.models import Attempt, ModelLoad, Worker

# A worker beats every two seconds; one that stopped is shown for a while, so that a restart can be followed.
SILENT_AFTER = timedelta(seconds=20)
STOPPED_SHOWN = timedelta(minutes=10)


@dataclass(frozen=True)
class WorkerRow:
    """`standing` is run, drain, restart, quarantine, silent or stopped: the wish, or why it can't be heard.

    `turns` are its attempts under way, `loads` the revisions it has in memory or could not load.
    """

    worker: Worker
    standing: str
    turns: list[Attempt]
    loads: list[ModelLoad]


def rows(now: datetime) -> list[WorkerRow]:
    """Living workers by pool, then those that stopped lately; three queries."""
    shown = Q(stopped_at=None) | Q(stopped_at__gte=now - STOPPED_SHOWN)
    turns = Attempt.objects.filter(ended_at=None).select_related("job").order_by("fence")
    loads = ModelLoad.objects.select_related("model").order_by("model__name", "precision")
    workers = Worker.objects.filter(shown).prefetch_related(
        Prefetch("attempts", turns, to_attr="live_turns"), Prefetch("loads", loads, to_attr="in_memory")
    )
    ordered = sorted(
        workers, key=lambda worker: (worker.stopped_at is not None, worker.pool_id, worker.started_at)
    )
    return [
        WorkerRow(worker, _standing(worker, now), worker.live_turns, worker.in_memory) for worker in ordered
    ]


def _standing(worker: Worker, now: datetime) -> str:
    if worker.stopped_at is not None:
        return "stopped"
    return "silent" if now - worker.seen_at > SILENT_AFTER else worker.desired

"""Every foreseen way out of an attempt at a clip, each written by its own transaction in finalization.py."""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from accounts import operations
from generation import finalization, streams
from generation.engines.errors import EngineError
from generation.fleet import quarantine
from generation.models import OPEN_STATES, Job
from generation.scheduling import preemption
from generation.scheduling.leases import LeaseLost
from generation.worker import checkpoints
from generation.worker.clip_turn import ClipTurn
from generation.worker.encoding import EncodingFailed
from generation.worker.stages import Cancelled, HandedBack, NotFinite, Preempted, RefusedByGate, Unscanned

logger = logging.getLogger(__name__)

FORESEEN = (Cancelled, HandedBack, NotFinite, RefusedByGate, Unscanned, EngineError, EncodingFailed)
ASK_AGAIN_S = 0.5


@contextmanager
def told(turn: ClipTurn) -> Iterator[None]:
    """Around a part of the attempt: what stops it is written down, and nothing that was foreseen leaves it.

    A lost lease ends it without a word: the job is somebody else's. A database that went away is no failure of the
    job: it is handed back as soon as the database answers, and is not counted as one that breaks its workers.
    """
    try:
        try:
            yield
        except FORESEEN as way_out:
            _tell(turn, way_out)
        except (OperationalError, InterfaceError) as problem:
            if not _server_gone(problem):
                raise
            _hand_back_when_it_answers(turn, problem)
    except LeaseLost as lost:
        logger.warning(str(lost), extra={"job": str(turn.job.pk), "fence": turn.lease.fence})
    # A job that may still go on, here or elsewhere, keeps its checkpoints.
    if not Job.objects.filter(pk=turn.job.pk, state__in=OPEN_STATES).exists():
        checkpoints.remove(settings.CHECKPOINT_ROOT, str(turn.job.pk))
    streams.announce(turn.job.pk, "state", {})


def _tell(turn: ClipTurn, way_out: Exception) -> None:
    lease, ran = turn.lease, turn.ran
    match way_out:
        case Cancelled():
            finalization.cancel_running(lease, ran)
        case Preempted():
            preemption.give_way(lease, ran, str(way_out), way_out.yield_ms)
        case HandedBack():
            finalization.hand_back(lease, ran, str(way_out))
        case NotFinite():
            _not_finite(turn, way_out)
        case RefusedByGate():
            finalization.block(lease, ran, str(way_out), way_out.category)
        case _:
            finalization.attempt_failed(lease, ran, f"{type(way_out).__name__}: {way_out}")


def _server_gone(problem: Exception) -> bool:
    """The connection broke or none could be had: no SQLSTATE, or one of class 08 or 57P (shutdown, starting up)."""
    state = getattr(problem.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P"))


def _hand_back_when_it_answers(turn: ClipTurn, problem: Exception) -> None:
    """Raises LeaseLost where the attempt has ended after all, or another has the job by now."""
    logger.warning("the database is gone", extra={"job": str(turn.job.pk), "error": str(problem)})
    deadline = time.monotonic() + turn.attempt.lease_seconds
    while True:
        connection.close()
        try:
            finalization.hand_back(turn.lease, turn.ran, "the database was gone for a moment")
            return
        except (OperationalError, InterfaceError) as still:
            if not _server_gone(still) or time.monotonic() > deadline:
                raise
        time.sleep(ASK_AGAIN_S)


def _not_finite(turn: ClipTurn, problem: NotFinite) -> None:
    """Nothing is charged, the alarm's row is written, and a worker that does it again and again takes no more jobs."""
    detail = {
        "step": turn.state.index,
        "worker": str(turn.station.worker.pk),
        "model": str(turn.job.model),
        "prompt_sha256": hashlib.sha256(turn.job.prompt.encode()).hexdigest(),
    }
    with transaction.atomic():
        finalization.fail(turn.lease, turn.ran, "not_finite", f"{problem}.")
        operations.report("clip.not_finite", "error", f"job:{turn.job.pk}", detail)
    quarantine.consider(turn.station.worker.pk)

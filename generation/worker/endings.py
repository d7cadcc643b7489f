"""Every foreseen way out of an attempt at a clip, each written by its own transaction in finalization.py."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction

from accounts import operations
from generation import finalization, preemption, quarantine, streams
from generation.engines.errors import EngineError
from generation.leases import LeaseLost
from generation.models import OPEN_STATES, Job
from generation.worker import checkpoints
from generation.worker.clip_turn import ClipTurn
from generation.worker.encoding import EncodingFailed
from generation.worker.stages import Cancelled, HandedBack, NotFinite, Preempted, RefusedByGate, Unscanned

logger = logging.getLogger(__name__)

FORESEEN = (Cancelled, HandedBack, NotFinite, RefusedByGate, Unscanned, EngineError, EncodingFailed)


@contextmanager
def told(turn: ClipTurn) -> Iterator[None]:
    """Around a part of the attempt: what stops it is written down, and nothing that was foreseen leaves it.

    A lost lease ends it without a word: the job is somebody else's.
    """
    try:
        try:
            yield
        except FORESEEN as way_out:
            _tell(turn, way_out)
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

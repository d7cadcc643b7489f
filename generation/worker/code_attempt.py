"""One worker's turn at a completion: tokens go to PostgreSQL under the lease, then to Redis, and so to the reader.

Since nobody sees a token that is not in PostgreSQL, a worker that dies is followed by one that goes on from there.
"""

import logging
import time
from dataclasses import dataclass, field

from django.db import transaction

from accounts.errors import ApiError
from generation import finalization, streams
from generation.code import conversation
from generation.engines.asked import CodeEngine, CodeWork, Piece, Sampling, Structure
from generation.engines.errors import (
    ContextTooLong,
    EndpointAway,
    EndpointBusy,
    EngineError,
    ModelUnavailable,
    UnsupportedWork,
)
from generation.finalization import Ran
from generation.models import Attempt, Job, Kind, TokenSegment
from generation.scheduling import preemption
from generation.scheduling.leases import Lease, LeaseLost, Wishes, lease_of
from generation.worker.stages import Cancelled, HandedBack, Preempted, Stopwatch
from generation.worker.station import Station
from safety.prefilter.output import OutputScreen, Refused, pieces_within
from safety.prefilter.rules import live_text

logger = logging.getLogger(__name__)

FLUSH_TOKENS = 8
FLUSH_S = 0.1


@dataclass
class CodeTurn:
    """A stream under way: what was sent, and what waits to be."""

    attempt: Attempt
    job: Job
    lease: Lease
    engine: CodeEngine
    station: Station
    watch: Stopwatch = field(default_factory=Stopwatch)
    seq: int = 0
    tokens_sent: int = 0
    given: list[int] = field(default_factory=list)
    given_text: str = ""
    waiting: list[Piece] = field(default_factory=list)
    flushed_at: float = 0.0
    screen: OutputScreen | None = None
    looked_at: int = 0  # of the pieces that wait, how many the screen has seen
    releasable: int = 0  # characters of them that may be sent

    @property
    def ran(self) -> Ran:
        return Ran(
            gpu_ms=self.watch.gpu_ms,
            tokens_in=self.job.spec["prompt_tokens"],
            tokens_out=self.tokens_sent,
            stages=self.watch.seconds,
            trace=self.watch.trace,
            device=self.engine.device_name,
        )


def run(attempt: Attempt, station: Station) -> None:
    """Stream the answer and write how it ended; a lost lease ends it without a word."""
    lease = lease_of(attempt)
    try:
        _run_to_an_end(CodeTurn(attempt, attempt.job, lease, station.engine(attempt.job.model), station))
    except LeaseLost as lost:
        logger.warning(str(lost), extra={"job": str(attempt.job_id), "fence": attempt.fence})
        return
    except ModelUnavailable as problem:
        finalization.attempt_failed(lease, Ran(), str(problem))
    except EndpointBusy as problem:  # while it was being loaded
        finalization.hand_back(lease, Ran(), str(problem))
    streams.end_tokens(attempt.job_id)
    streams.announce(attempt.job_id, "state", {})


def _run_to_an_end(turn: CodeTurn) -> None:
    try:
        _recall(turn)
        with turn.watch.stage("generate"):
            finish_reason = _stream(turn)
        finalization.deliver_code(turn.lease, turn.ran, finish_reason)
    except Cancelled:
        finalization.cancel_running(turn.lease, turn.ran)
    except Preempted as wish:
        preemption.give_way(turn.lease, turn.ran, str(wish), wish.yield_ms)
    except HandedBack as reason:
        finalization.hand_back(turn.lease, turn.ran, str(reason))
    except EndpointBusy as problem:
        # The engine has waited for it, so this does not come back at once.
        if isinstance(problem, EndpointAway):
            turn.station.engines.lost(turn.job.model, str(problem))
        finalization.hand_back(turn.lease, turn.ran, str(problem))
    except (ContextTooLong, UnsupportedWork) as problem:
        code = "context_length_exceeded" if isinstance(problem, ContextTooLong) else "invalid_value"
        finalization.fail(turn.lease, turn.ran, code, f"{problem} Nothing was charged.")
    except Refused as refused:
        # What waited is dropped unseen; what was sent before is no part of what the rule refuses.
        finalization.block(turn.lease, turn.ran, str(refused), refused.rule.category, refused.record())
    except ApiError as problem:
        finalization.attempt_failed(turn.lease, turn.ran, f"the answer can't be screened: {problem}")
    except EngineError as problem:
        finalization.attempt_failed(turn.lease, turn.ran, f"{type(problem).__name__}: {problem}")


def _recall(turn: CodeTurn) -> None:
    """What earlier attempts sent: it stands, and this one goes on after it."""
    sent = list(TokenSegment.objects.filter(job=turn.job).order_by("seq"))
    turn.seq = sent[-1].seq if sent else 0
    turn.given = [token for segment in sent for token in segment.ids]
    turn.tokens_sent = len(turn.given)
    turn.given_text = "".join(segment.text for segment in sent)
    turn.screen = OutputScreen(live_text(Kind.CODE), turn.given_text)
    Attempt.objects.filter(pk=turn.attempt.pk, ended_at=None).update(
        resumed_from_step=turn.tokens_sent, device=turn.engine.device_name, threads=turn.engine.threads
    )


def _stream(turn: CodeTurn) -> str:
    spec = turn.job.spec
    left = spec["max_tokens"] - turn.tokens_sent
    if left <= 0:
        return "length"
    pieces = turn.engine.stream(_work(turn, left))
    try:
        for piece in pieces:
            turn.waiting.append(piece)
            if piece.finish_reason or _due(turn):
                _heed(turn, _flush(turn), over=bool(piece.finish_reason))
            if piece.finish_reason:
                return piece.finish_reason
    finally:
        pieces.close()
    return "length"


def _work(turn: CodeTurn, left: int) -> CodeWork:
    spec = turn.job.spec
    structure = Structure(**spec["structure"]) if spec.get("structure") else None
    sampling = Sampling(
        left, spec["temperature"], spec["top_p"], turn.job.seed, tuple(spec["stop"]), structure
    )
    return CodeWork(
        turn.job.prompt,
        sampling,
        messages=conversation.split(turn.job.prompt, spec.get("turns") or []),
        given=tuple(turn.given),
        given_text=turn.given_text,
        lane=turn.job.lane_id,
    )


def _due(turn: CodeTurn) -> bool:
    """The first tokens at once, then in runs: a row per token would cost more than the token."""
    waited = time.monotonic() - turn.flushed_at
    return not turn.seq or len(turn.waiting) - turn.looked_at >= FLUSH_TOKENS or waited >= FLUSH_S


def _flush(turn: CodeTurn) -> Wishes:
    """One transaction renews the lease and writes the segment, so that a worker that lost its job writes nothing.

    Only pieces that the text filter released go out, and whole ones, since their tokens are stored with them.
    """
    ready = _released(turn)
    # A model may write any character, PostgreSQL's text holds all but NUL.
    text = "".join(piece.text for piece in ready).replace("\0", "\N{REPLACEMENT CHARACTER}")
    ids = [token for piece in ready for token in piece.ids]
    with transaction.atomic():
        wishes = turn.lease.renew(step=turn.tokens_sent + len(ids), stage="generating")
        if text or ids:
            turn.seq += 1
            TokenSegment.objects.create(
                job=turn.job, seq=turn.seq, fence=turn.lease.fence, text=text, ids=ids
            )
    if text or ids:
        streams.append_tokens(turn.job.pk, turn.seq, text)
    turn.tokens_sent += len(ids)
    turn.waiting = turn.waiting[len(ready) :]
    turn.looked_at -= len(ready)
    turn.releasable -= sum(len(piece.text) for piece in ready)
    turn.flushed_at = time.monotonic()
    return wishes


def _released(turn: CodeTurn) -> list[Piece]:
    """The pieces that may be sent now; raises Refused. After the last piece all that waits is looked at and goes."""
    with turn.watch.beside("screen"):
        unseen = "".join(piece.text for piece in turn.waiting[turn.looked_at :])
        over = bool(turn.waiting and turn.waiting[-1].finish_reason)
        turn.releasable += turn.screen.finish(unseen) if over else turn.screen.push(unseen)
    turn.looked_at = len(turn.waiting)
    sizes = [len(piece.text) for piece in turn.waiting]
    return turn.waiting[: pieces_within(sizes, turn.releasable)]


def _heed(turn: CodeTurn, wishes: Wishes, *, over: bool) -> None:
    if over:
        return
    if wishes.cancel:
        raise Cancelled
    if wishes.preempt:
        # Every token that was sent is stored already, so giving way costs nothing.
        raise Preempted(wishes.preempt, yield_ms=0)
    if turn.station.stopping.is_set() or wishes.desired != "run":
        raise HandedBack("the worker is stopping")

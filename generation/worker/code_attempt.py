"""One worker's turn at a completion: tokens go to PostgreSQL under the lease, then to Redis, and so to the reader.

Since nobody sees a token that is not in PostgreSQL, a worker that dies is followed by one that goes on from there.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

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
from generation.worker import traces
from generation.worker.stages import Cancelled, HandedBack, Preempted, Stopwatch
from generation.worker.station import Station
from generation.worker.token_writer import TokenWriter
from safety.prefilter.output import OutputScreen, Refused, pieces_within
from safety.prefilter.rules import live_text

logger = logging.getLogger(__name__)

# A segment costs the engine's own thread about a millisecond of the interpreter, whatever is in it, and as much again
# in PostgreSQL and in the web process: many slow streams in one worker write less often, up to as seldom as it says
# that it lives.
FLUSH_TOKENS = 16
FLUSH_S, MOST_FLUSH_S = 0.1, 0.25
SEGMENTS_PER_S = 64  # of all the streams of a process together, where that leaves each its MOST_FLUSH_S
# Text that may be sent waits for the segment before it, which is still being stored, up to so many tokens.
MOST_WAITING = 64
RENEW_S = 0.25
_under_way: set[int] = set()  # the attempts of this process


@dataclass
class CodeTurn:
    """A stream under way: what was sent, and what waits to be."""

    attempt: Attempt
    job: Job
    lease: Lease
    engine: CodeEngine
    station: Station
    watch: Stopwatch = field(default_factory=Stopwatch)
    writer: TokenWriter | None = None
    tokens_sent: int = 0
    said: bool = False  # more than blanks was sent: nobody waits for a first word any more
    given: list[int] = field(default_factory=list)
    given_text: str = ""
    waiting: list[Piece] = field(default_factory=list)
    flushed_at: float = 0.0
    screen: Future[OutputScreen] | None = None
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
    _under_way.add(attempt.pk)
    try:
        turn = CodeTurn(attempt, attempt.job, lease, station.engine(attempt.job.model), station)
        _run_to_an_end(turn)
        traces.tell_code(turn)
    except LeaseLost as lost:
        logger.warning(str(lost), extra={"job": str(attempt.job_id), "fence": attempt.fence})
        return
    except ModelUnavailable as problem:
        finalization.attempt_failed(lease, Ran(), str(problem))
    except EndpointBusy as problem:  # while it was being loaded
        finalization.hand_back(lease, Ran(), str(problem))
    finally:
        _under_way.discard(attempt.pk)
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
    first = turn.job.started_at == turn.attempt.started_at
    sent = [] if first else list(TokenSegment.objects.filter(job=turn.job).order_by("seq"))
    turn.given = [token for segment in sent for token in segment.ids]
    turn.tokens_sent = len(turn.given)
    turn.given_text = "".join(segment.text for segment in sent)
    turn.said = bool(turn.given_text.strip())
    turn.writer = TokenWriter(turn.lease, sent[-1].seq if sent else 0)
    # Read while the engine reads the prompt; what it raises is raised before anything is released.
    turn.screen = turn.writer.beside(lambda: OutputScreen(live_text(Kind.CODE), turn.given_text))


def _stream(turn: CodeTurn) -> str:
    left = turn.job.spec["max_tokens"] - turn.tokens_sent
    try:
        return _streamed(turn, left) if left > 0 else "length"
    finally:
        turn.writer.close()


def _streamed(turn: CodeTurn, left: int) -> str:
    noted = _note(turn)
    pieces = turn.engine.stream(_work(turn, left))
    try:
        for piece in pieces:
            turn.waiting.append(piece)
            if piece.finish_reason or _due(turn):
                _send(turn, over=bool(piece.finish_reason))
            if piece.finish_reason:
                return piece.finish_reason
            if noted and turn.writer.seq:
                turn.writer.beside(noted)
                turn.writer.alone()
                noted = None
    finally:
        pieces.close()
    return "length"


def _note(turn: CodeTurn) -> Callable[[], object]:
    """Write down what runs the attempt, once nobody waits for the first token any more."""
    row = Attempt.objects.filter(pk=turn.attempt.pk, ended_at=None)
    engine, place = turn.engine, turn.tokens_sent
    return lambda: row.update(resumed_from_step=place, device=engine.device_name, threads=engine.threads)


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
    return (
        not turn.said
        or len(turn.waiting) - turn.looked_at >= FLUSH_TOKENS
        or waited >= flush_s(len(_under_way))
    )


def flush_s(streams: int) -> float:
    """How long text that may go out waits for more, where so many streams are under way in the process."""
    return min(max(FLUSH_S, streams / SEGMENTS_PER_S), MOST_FLUSH_S)


def _send(turn: CodeTurn, *, over: bool) -> None:
    """Hand on what the text filter released, and heed what others want of the attempt.

    Only whole pieces go out, since their tokens are stored with them. Where nothing may go out yet nothing is written,
    but for a sign of life now and then.
    """
    ready, writer = _released(turn), turn.writer
    turn.flushed_at = time.monotonic()
    silent = turn.flushed_at - writer.heard_at >= RENEW_S
    if not over and (not (ready or silent) or writer.busy and len(turn.waiting) < MOST_WAITING):
        return
    _heed(turn, writer.wishes(), over=over)
    # A model may write any character, PostgreSQL's text holds all but NUL.
    text = "".join(piece.text for piece in ready).replace("\0", "\N{REPLACEMENT CHARACTER}")
    ids = [token for piece in ready for token in piece.ids]
    turn.tokens_sent += len(ids)
    turn.said = turn.said or bool(text.strip())
    turn.waiting = turn.waiting[len(ready) :]
    turn.looked_at -= len(ready)
    turn.releasable -= sum(len(piece.text) for piece in ready)
    if text or ids:
        writer.store(turn.tokens_sent, text, ids)
    else:
        writer.renew(turn.tokens_sent)


def _released(turn: CodeTurn) -> list[Piece]:
    """The pieces that may be sent now; raises Refused. After the last piece all that waits is looked at and goes."""
    with turn.watch.beside("screen"):
        unseen = "".join(piece.text for piece in turn.waiting[turn.looked_at :])
        over = bool(turn.waiting and turn.waiting[-1].finish_reason)
        screen = turn.screen.result()
        turn.releasable += screen.finish(unseen) if over else screen.push(unseen)
    turn.looked_at = len(turn.waiting)
    sizes = [len(piece.text) for piece in turn.waiting]
    return turn.waiting[: pieces_within(sizes, turn.releasable)]


def _heed(turn: CodeTurn, wishes: Wishes | None, *, over: bool) -> None:
    if over or wishes is None:
        return
    if wishes.cancel:
        raise Cancelled
    if wishes.preempt:
        # Every token that was sent is stored already, so giving way costs nothing.
        raise Preempted(wishes.preempt, yield_ms=0)
    if turn.station.stopping.is_set() or wishes.desired != "run":
        raise HandedBack("the worker is stopping")

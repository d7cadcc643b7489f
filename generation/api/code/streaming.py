"""The one way from a request for code to its answer, plain or streamed, whatever contract it is written in.

Whoever opened a stream keeps its work alive: when they leave, it is cancelled, unless it is background work. Whoever
follows a stream again may leave as they like.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import DatabaseError

from accounts.errors import TABLE, ApiError
from accounts.identity import Caller
from generation import admission, cancellation
from generation.api import sse
from generation.api.code import open_streams
from generation.api.code.asking import Asked
from generation.api.code.kept import Kept
from generation.code import partial
from generation.code.partial import Partial
from generation.models import Job, TokenSegment
from generation.pooling import give_back
from generation.streams import TokenEvent, follow_tokens

logger = logging.getLogger(__name__)

# A plain request gives up where nobody has begun within the first bound, or where the end isn't there by the second.
BEGIN_WITHIN_S, END_WITHIN_S = 120.0, 600.0
LOST = ApiError(
    "server_is_overloaded", "The stream was interrupted. Follow it again behind the last event you got."
)


@dataclass(frozen=True)
class Ending:
    """How an answer ended. Where the contract repeats them: its whole text, and the row of its job; what of it parses
    where that was asked."""

    token: TokenEvent
    text: str = ""
    job: Job | None = None
    partial: Partial | None = None


class Writer(Protocol):
    """An answer in the words of one contract. `needs_job` says that its end repeats the request and the text."""

    needs_job: bool

    def opening(self, job: Job) -> list[bytes]: ...

    def piece(self, kept: Kept, token: TokenEvent) -> list[bytes]: ...

    def ending(self, kept: Kept, ending: Ending, include_usage: bool) -> list[bytes]: ...

    def whole(self, kept: Kept, ending: Ending) -> dict[str, Any]: ...


async def submitted(caller: Caller, asked: Asked) -> Job:
    """Submit in a thread. If the client leaves meanwhile the thread goes on: its job is cancelled once it is there."""
    submission = asyncio.ensure_future(sync_to_async(_submit)(caller, asked))
    try:
        return await asyncio.shield(submission)
    except asyncio.CancelledError:
        await abandon((await submission).pk)
        raise


def _submit(caller: Caller, asked: Asked) -> Job:
    """Submit, and give the connection back: a stream may stay open long, and the pool is small."""
    try:
        return admission.submit_code(caller, asked.fields, idempotency_key=asked.key, source="api")
    finally:
        give_back()


async def answered(caller: Caller, asked: Asked, writer: Writer, request_id: str) -> Any:
    """The answer to a new request: a stream, or the whole of it. Raises ApiError."""
    if not asked.stream:
        return await whole(Kept.of(await submitted(caller, asked)), writer)
    seat = await open_streams.take(caller)
    try:
        job = await submitted(caller, asked)
    except (ApiError, asyncio.CancelledError, DatabaseError):
        await seat.leave()
        raise
    told = {"include_usage": asked.include_usage, "request_id": request_id}
    stream = events(Kept.of(job), writer.opening(job), 0, writer, **told, owner=True, seat=seat)
    return sse.respond(stream)


async def followed(
    caller: Caller, job: Job, after: int, writer: Writer, *, include_usage: bool, request_id: str
) -> Any:
    """The stream of an answer again, from behind segment `after`."""
    seat = await open_streams.take(caller)
    opening = writer.opening(job) if after == 0 else []
    told = {"include_usage": include_usage, "request_id": request_id}
    return sse.respond(events(Kept.of(job), opening, after, writer, **told, owner=False, seat=seat))


async def events(
    kept: Kept,
    opening: list[bytes],
    after: int,
    writer: Writer,
    *,
    include_usage: bool,
    request_id: str,
    owner: bool,
    seat: open_streams.Seat,
) -> AsyncIterator[bytes]:
    """The opening events, then the job's tokens as events. Where the owner of the stream leaves before its end, the
    job is cancelled."""
    ended = False
    try:
        await _let_go_of_thread()
        while opening:
            yield opening.pop(0)
        async with aclosing(follow_tokens(kept.id, after, fresh=kept.fresh)) as tokens:
            async for token in tokens:
                ended = ended or is_end(token)
                for event in await _written(kept, token, writer, include_usage, request_id):
                    yield event
                if token is None:
                    await seat.keep()
    except DatabaseError as error:
        # What becomes of the job is not known here: it is neither cancelled nor reported as ended.
        ended = True
        logger.warning("the stream of %s lost the database: %s", kept.public_id, error)
        yield sse.event(LOST.body(request_id))
    finally:
        if owner and not ended and not kept.background:
            await abandon(kept.id)
        await seat.leave()


async def _written(
    kept: Kept, token: TokenEvent | None, writer: Writer, include_usage: bool, request_id: str
) -> list[bytes]:
    if token is None:
        return [sse.HEARTBEAT]
    if token.error is not None:
        return [sse.event(failure(token.error).body(request_id), token.seq)]
    if token.finish_reason is None:
        return writer.piece(kept, token)
    ending = await ending_of(kept, token, text=writer.needs_job, job=writer.needs_job)
    return writer.ending(kept, ending, include_usage)


async def _let_go_of_thread() -> None:
    """asgiref keeps a thread for a request until its response has ended. A stream may last long and needs none.

    What it had of the pool of connections goes back first: with the thread it would be lost to the pool for good.
    Behind the door (console/edge.py) the request has ended already, and there is nothing to let go of.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None:
        return
    await sync_to_async(give_back)()
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        executor.shutdown(wait=False)


async def whole(kept: Kept, writer: Writer) -> dict[str, Any]:
    """Wait for the end and answer at once; within bounds, after which the job is cancelled and the client told."""
    started, begun, ended = time.monotonic(), False, False
    try:
        async with aclosing(follow_tokens(kept.id, 0, fresh=kept.fresh)) as tokens:
            async for token in tokens:
                _check_patience(time.monotonic() - started, begun=begun)
                if token is None:
                    continue
                begun, ended = True, is_end(token)
                if token.error is not None:
                    raise failure(token.error)
                if ended:
                    return writer.whole(kept, await ending_of(kept, token, text=True, job=writer.needs_job))
        message = "The answer's stream stopped before its end. Nothing was charged."
        raise ApiError("internal_error", message)
    finally:
        if not ended and not kept.background:
            await abandon(kept.id)


def _check_patience(waited: float, *, begun: bool) -> None:
    if waited > (END_WITHIN_S if begun else BEGIN_WITHIN_S):
        raise ApiError(
            "server_is_overloaded",
            "The answer took too long and was cancelled; only what was written is charged. Try again, or stream.",
            retry_after_s=30,
        )


async def ending_of(kept: Kept, token: TokenEvent, *, text: bool, job: bool) -> Ending:
    """What the last events say, with the `text` and the `job` where those are needed: read again rather than kept
    while the answer was written."""
    language = kept.partial if token.finish_reason == "length" else ""
    if not (text or job or language):
        return Ending(token)
    return await _read_ending(kept.id, token, language, job=job)


@sync_to_async(thread_sensitive=False)
def _read_ending(job_id: UUID, token: TokenEvent, language: str, *, job: bool) -> Ending:
    try:
        found = Job.objects.select_related("model").get(pk=job_id) if job or language else None
        text = text_of(job_id)
        return Ending(token, text, found, parsing(found, text, language) if language else None)
    finally:
        give_back()


def parsing(job: Job, text: str, language: str) -> Partial:
    """How much of an answer that ended early parses: behind its prompt, or by itself in a conversation."""
    if job.spec.get("turns"):
        return partial.longest_in_conversation(text, language)
    return partial.longest(text, language, before=job.prompt)


def text_of(job_id: UUID) -> str:
    """The text of an answer as far as it is stored; one query."""
    try:
        return "".join(TokenSegment.objects.filter(job=job_id).order_by("seq").values_list("text", flat=True))
    finally:
        give_back()


def told(found: Partial) -> dict[str, Any]:
    """What is said of an answer that was cut to where it parses."""
    return {
        "syntax": "ast",
        "language": found.language,
        "keep": found.keep,
        "close": found.close,
        "closed": bool(found.close),
        "parses": found.parses,
    }


async def abandon(job_id: UUID) -> None:
    """Cancel a job whose reader has gone; shielded, because the reader's own task is being cancelled."""
    await asyncio.shield(asyncio.ensure_future(sync_to_async(_cancel, thread_sensitive=False)(job_id)))


def _cancel(job_id: UUID) -> None:
    try:
        cancellation.cancel(Job.objects.get(pk=job_id), "its reader disconnected")
    except ApiError as error:
        logger.info("%s was not cancelled after its reader left: %s", job_id, error)
    finally:
        give_back()


def is_end(token: TokenEvent | None) -> bool:
    return token is not None and (token.finish_reason is not None or token.error is not None)


def failure(error: dict[str, Any]) -> ApiError:
    """A job's own end as an error of the table; the client raises nested errors and would yield flat ones."""
    code = error.get("code") or "internal_error"
    message = error.get("message") or f"The answer ended: {code}."
    return ApiError(code if code in TABLE else "internal_error", message)

"""/v1/completions, plain and streamed, as the stock client calls it."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from ninja import Router

from accounts.errors import TABLE, ApiError
from accounts.identity import Caller
from generation import admission, cancellation, specs
from generation.api import documents, shapes, sse
from generation.api.fields import idempotency_key, known_only, request_fields
from generation.models import Job, Kind
from generation.pooling import give_back
from generation.streams import TokenEvent, follow_tokens

logger = logging.getLogger(__name__)
router = Router(tags=["completions"])

FIELDS = (
    "prompt",
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "user",
    *specs.NEUTRAL,
)
PUBLIC_ID = re.compile(r"cmpl[-_]([0-9a-f]{32})")
# A plain request gives up where nobody has begun within the first bound, or where the end isn't there by the second.
BEGIN_WITHIN_S, END_WITHIN_S = 120.0, 600.0
LOST = ApiError(
    "server_is_overloaded", "The stream was interrupted. Follow it again behind the last event you got."
)


@router.post(
    "/completions",
    response=documents.Completion,
    openapi_extra=documents.body(documents.CODE_FIELDS),
    summary="Complete code",
)
async def create(request: HttpRequest):
    """Writes a completion. A client that disconnects cancels it; what was delivered until then is charged."""
    fields = known_only(request_fields(request), FIELDS)
    stream, usage = _stream_options(fields)
    job = await _submitted(request.caller, fields, idempotency_key(request))
    if stream:
        return sse.respond(_events(job, 0, include_usage=usage, request_id=request.request_id, owner=True))
    return await _whole(job, request.request_id)


@router.get("/completions/{completion_id}/stream", summary="Follow a completion again")
async def follow(request: HttpRequest, completion_id: str, include_usage: bool = False) -> HttpResponse:
    """The stream of a completion, from behind `Last-Event-ID` or from its start. Leaving it cancels nothing."""
    after = sse.last_event_id(request)
    job = await sync_to_async(find)(request.caller, completion_id)
    return sse.respond(
        _events(job, after, include_usage=include_usage, request_id=request.request_id, owner=False)
    )


def find(caller: Caller, completion_id: str) -> Job:
    """The caller's completion; another organization's is simply not found."""
    match = PUBLIC_ID.fullmatch(completion_id)
    jobs = Job.objects.filter(organization=caller.organization, kind=Kind.CODE, deleted_at=None)
    job = jobs.select_related("model", "lane").filter(pk=UUID(match[1])).first() if match else None
    if job is None:
        raise ApiError("not_found", f"There is no completion {completion_id[:80]!r} in this organization.")
    return job


def _stream_options(fields: dict[str, Any]) -> tuple[bool, bool]:
    """(stream it?, with a usage chunk?), taken out of the fields, since they don't change what is made."""
    stream, options = fields.pop("stream", None), fields.pop("stream_options", None)
    fields.pop("user", None)  # the contract's tag for a client's own users: accepted, and not kept
    if stream not in (None, True, False):
        raise ApiError("invalid_type", "`stream` has to be true or false.", param="stream")
    if options is not None and not isinstance(options, dict):
        raise ApiError("invalid_type", "`stream_options` has to be an object.", param="stream_options")
    usage = (options or {}).get("include_usage", False)
    if not isinstance(usage, bool):
        raise ApiError(
            "invalid_type", "`include_usage` has to be true or false.", param="stream_options.include_usage"
        )
    return bool(stream), usage


async def _submitted(caller: Caller, fields: dict[str, Any], key: str | None) -> Job:
    """Submit in a thread. If the client leaves meanwhile the thread goes on: its job is cancelled once it is there."""
    submission = asyncio.ensure_future(sync_to_async(_submit)(caller, fields, key))
    try:
        return await asyncio.shield(submission)
    except asyncio.CancelledError:
        await _abandon(await submission)
        raise


def _submit(caller: Caller, fields: dict[str, Any], key: str | None) -> Job:
    """Submit, and give the connection back: a stream may stay open long, and the pool is small."""
    try:
        return admission.submit_code(caller, fields, idempotency_key=key, source="api")
    finally:
        give_back()


async def _events(
    job: Job, after: int, *, include_usage: bool, request_id: str, owner: bool
) -> AsyncIterator[bytes]:
    """The job's tokens as chunks. Where the owner of the stream leaves before its end, the job is cancelled."""
    ended = False
    try:
        async for token in follow_tokens(job.pk, after):
            if token is None:
                yield sse.HEARTBEAT
                continue
            ended = ended or is_end(token)
            for chunk in _chunks(job, token, include_usage=include_usage, request_id=request_id):
                yield chunk
    except DatabaseError as error:
        # What becomes of the job is not known here: it is neither cancelled nor reported as ended.
        ended = True
        logger.warning("the stream of %s lost the database: %s", job.public_id, error)
        yield sse.event(LOST.body(request_id))
    finally:
        if owner and not ended:
            await _abandon(job)


def is_end(token: TokenEvent) -> bool:
    return token.finish_reason is not None or token.error is not None


def _chunks(job: Job, token: TokenEvent, *, include_usage: bool, request_id: str) -> list[bytes]:
    if token.error is not None:
        return [sse.event(failure(token.error).body(request_id), token.seq)]
    chunks = [sse.event(_completion(job, token.text, token.finish_reason), token.seq)]
    if token.finish_reason is None:
        return chunks
    if include_usage:
        chunks.append(sse.event({**_completion(job, "", None), "choices": [], "usage": token.usage}))
    return [*chunks, sse.DONE]


async def _whole(job: Job, request_id: str) -> dict[str, Any]:
    """Wait for the end and answer at once; within bounds, after which the job is cancelled and the client told."""
    started, parts, ended = time.monotonic(), [], False
    try:
        async for token in follow_tokens(job.pk, 0):
            _check_patience(time.monotonic() - started, begun=bool(parts))
            if token is None:
                continue
            ended = is_end(token)
            if token.error is not None:
                raise failure(token.error)
            parts.append(token.text)
            if ended:
                return {**_completion(job, "".join(parts), token.finish_reason), "usage": token.usage}
        raise ApiError(
            "internal_error", "The completion's stream stopped before its end. Nothing was charged."
        )
    finally:
        if not ended:
            await _abandon(job)


def _check_patience(waited: float, *, begun: bool) -> None:
    if waited > (END_WITHIN_S if begun else BEGIN_WITHIN_S):
        raise ApiError(
            "server_is_overloaded",
            "The completion took too long and was cancelled; only what was written is charged. Try again, or stream.",
            retry_after_s=30,
        )


async def _abandon(job: Job) -> None:
    """Cancel a job whose reader has gone; shielded, because the reader's own task is being cancelled."""
    await asyncio.shield(asyncio.ensure_future(sync_to_async(_cancel)(job)))


def _cancel(job: Job) -> None:
    try:
        cancellation.cancel(job, "its reader disconnected")
    except ApiError as error:
        logger.info("%s was not cancelled after its reader left: %s", job.public_id, error)
    finally:
        give_back()


def failure(error: dict[str, Any]) -> ApiError:
    """A job's own end as an error of the table; the client raises nested errors and would yield flat ones."""
    code = error.get("code") or "internal_error"
    message = error.get("message") or f"The completion ended: {code}."
    return ApiError(code if code in TABLE else "internal_error", message)


def _completion(job: Job, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {
        "id": job.public_id,
        "object": "text_completion",
        "created": shapes.epoch(job.created_at),
        "model": job.model.name,
        "choices": [{"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}],
        "backlot": {"decision": str(job.decision_id), "quote": job.quote_micro / shapes.MICRO},
    }

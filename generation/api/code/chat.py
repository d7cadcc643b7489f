"""/v1/chat/completions, plain and streamed, as the stock client calls it."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Router

from generation.api import documents, sse
from generation.api.code import asking, finding, streaming
from generation.api.code.documents import CHAT_FIELDS, ChatCompletion
from generation.api.code.kept import Kept
from generation.api.code.streaming import Ending
from generation.code import conversation
from generation.code.dialects import CHAT
from generation.models import Job
from generation.streams import TokenEvent

router = Router(tags=["chat"])


@router.post(
    "/chat/completions",
    response=ChatCompletion,
    openapi_extra=documents.body(CHAT_FIELDS, required=("messages",)),
    summary="Answer a conversation",
    operation_id="chat_create",
)
async def create(request: HttpRequest):
    """Writes the next turn of a conversation. A client that disconnects cancels it, as with completions."""
    asked = asking.read(request, CHAT, lambda fields: conversation.of_messages(fields.pop("messages", None)))
    return await streaming.answered(request.caller, asked, Chat(), request.request_id)


@router.get(
    "/chat/completions/{completion_id}/stream", summary="Follow an answer again", operation_id="chat_follow"
)
async def follow(request: HttpRequest, completion_id: str, include_usage: bool = False) -> HttpResponse:
    """The stream of an answer, from behind `Last-Event-ID` or from its start. Leaving it cancels nothing."""
    after = sse.last_event_id(request)
    job = await sync_to_async(finding.find)(request.caller, completion_id, CHAT)
    return await streaming.followed(
        request.caller, job, after, Chat(), include_usage=include_usage, request_id=request.request_id
    )


class Chat:
    """An answer as chat completion chunks; the first one with text says whose turn it is."""

    needs_job = False

    def opening(self, job: Job) -> list[bytes]:
        return []

    def piece(self, kept: Kept, token: TokenEvent) -> list[bytes]:
        role = {"role": "assistant"} if token.seq == 1 else {}
        return [sse.event(_chunk(kept, {**role, "content": token.text}, None), token.seq)]

    def ending(self, kept: Kept, ending: Ending, include_usage: bool) -> list[bytes]:
        last = _chunk(kept, {}, ending.token.finish_reason)
        if ending.partial:
            last["backlot"]["partial"] = streaming.told(ending.partial)
        chunks = [sse.event(last, ending.token.seq)]
        if include_usage:
            usage = {**_chunk(kept, {}, None), "choices": [], "usage": ending.token.usage}
            chunks.append(sse.event(usage))
        return [*chunks, sse.DONE]

    def whole(self, kept: Kept, ending: Ending) -> dict[str, Any]:
        text = ending.partial.applied(ending.text) if ending.partial else ending.text
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None}
        found = {
            **_head(kept, "chat.completion"),
            "choices": [{**choice, "finish_reason": ending.token.finish_reason}],
            "usage": ending.token.usage,
        }
        if ending.partial:
            found["backlot"]["partial"] = streaming.told(ending.partial)
        return found


def _chunk(kept: Kept, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {**_head(kept, "chat.completion.chunk"), "choices": [choice]}


def _head(kept: Kept, kind: str) -> dict[str, Any]:
    return {
        "id": kept.public_id,
        "object": kind,
        "created": kept.created,
        "model": kept.model,
        "backlot": kept.extras,
    }

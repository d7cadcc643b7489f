"""/v1/completions, plain and streamed, as the stock client calls it; beside it chat and responses."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Router

from generation.api import documents, sse
from generation.api.code import asking, chat, finding, responses, streaming
from generation.api.code.kept import Kept
from generation.api.code.streaming import Ending
from generation.code.dialects import COMPLETION
from generation.models import Job
from generation.streams import TokenEvent

router = Router(tags=["completions"])
FIELDS = COMPLETION.fields


@router.post(
    "/completions",
    response=documents.Completion,
    openapi_extra=documents.body(documents.CODE_FIELDS),
    summary="Complete code",
)
async def create(request: HttpRequest):
    """Writes a completion. A client that disconnects cancels it; what was delivered until then is charged."""
    asked = asking.read(request, COMPLETION)
    return await streaming.answered(request.caller, asked, Completions(), request.request_id)


@router.get("/completions/{completion_id}/stream", summary="Follow a completion again")
async def follow(request: HttpRequest, completion_id: str, include_usage: bool = False) -> HttpResponse:
    """The stream of a completion, from behind `Last-Event-ID` or from its start. Leaving it cancels nothing."""
    after = sse.last_event_id(request)
    job = await sync_to_async(finding.find)(request.caller, completion_id, COMPLETION)
    return await streaming.followed(
        request.caller,
        job,
        after,
        Completions(),
        include_usage=include_usage,
        request_id=request.request_id,
    )


class Completions:
    """An answer as text completion chunks."""

    needs_job = False

    def opening(self, job: Job) -> list[bytes]:
        return []

    def piece(self, kept: Kept, token: TokenEvent) -> list[bytes]:
        return [sse.event(_chunk(kept, token.text, None), token.seq)]

    def ending(self, kept: Kept, ending: Ending, include_usage: bool) -> list[bytes]:
        last = _chunk(kept, "", ending.token.finish_reason)
        if ending.partial:
            last["backlot"]["partial"] = streaming.told(ending.partial)
        chunks = [sse.event(last, ending.token.seq)]
        if include_usage:
            chunks.append(sse.event({**_chunk(kept, "", None), "choices": [], "usage": ending.token.usage}))
        return [*chunks, sse.DONE]

    def whole(self, kept: Kept, ending: Ending) -> dict[str, Any]:
        text = ending.partial.applied(ending.text) if ending.partial else ending.text
        found = {**_chunk(kept, text, ending.token.finish_reason), "usage": ending.token.usage}
        if ending.partial:
            found["backlot"]["partial"] = streaming.told(ending.partial)
        return found


def _chunk(kept: Kept, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {
        "id": kept.public_id,
        "object": "text_completion",
        "created": kept.created,
        "model": kept.model,
        "choices": [{"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}],
        "backlot": kept.extras,
    }


router.add_router("", chat.router)
router.add_router("", responses.router)

"""/v1/responses, plain, streamed and in the background, as the stock client calls it; and what is kept of them."""

from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from accounts.errors import ApiError
from generation import cancellation
from generation.api import documents, sse
from generation.api.code import asking, finding, streaming
from generation.api.code.documents import RESPONSE_FIELDS, ResponseDeleted, ResponseDocument
from generation.api.code.response_events import FIRST_DELTA, Responses, response_object
from generation.code import conversation
from generation.code.dialects import RESPONSE
from generation.engines.asked import Message
from generation.models import Job, State, TokenSegment

router = Router(tags=["responses"])

TEXT_KEYS = ("format", "verbosity")


@router.post(
    "/responses",
    response=ResponseDocument,
    openapi_extra=documents.body(RESPONSE_FIELDS, required=("input",)),
    summary="Create a response",
    operation_id="responses_create",
)
async def create(request: HttpRequest):
    """Writes a response. One in the background is answered at once, and read when it is done."""
    asked = asking.read(request, RESPONSE, _messages)
    if asked.fields["background"] and asked.fields.get("store") is False:
        message = "What is not stored can't be read later: leave store out of a background response."
        raise ApiError("invalid_value", message, param="store")
    if asked.fields["background"] and not asked.stream:
        job = await streaming.submitted(request.caller, asked)
        return response_object(job)
    return await streaming.answered(request.caller, asked, Responses(), request.request_id)


@router.get(
    "/responses/{response_id}",
    response=ResponseDocument,
    summary="Read a response",
    operation_id="responses_retrieve",
)
async def retrieve(
    request: HttpRequest,
    response_id: str,
    stream: bool = False,
    starting_after: Annotated[
        int | None, Query(None, ge=0, le=sse.MOST_SEQ, description="Follow from behind this sequence number.")
    ] = None,
):
    """A response as it stands, or with `stream=true` its events. Leaving them cancels nothing."""
    told = sse.last_event_id(request) or starting_after
    job = await sync_to_async(finding.find)(request.caller, response_id, RESPONSE)
    if not stream:
        return await sync_to_async(_as_it_stands)(job)
    skipped = 0 if told is None else told + 1
    after = max(0, skipped - FIRST_DELTA)  # behind the opening events each segment is one event
    return await streaming.followed(
        request.caller, job, after, Responses(skipped), include_usage=True, request_id=request.request_id
    )


@router.post(
    "/responses/{response_id}/cancel",
    response=ResponseDocument,
    summary="Cancel a response",
    operation_id="responses_cancel",
)
def cancel(request: HttpRequest, response_id: str):
    """At once while it waits, at its next token while it runs. One that has ended stays as it is."""
    job = finding.find(request.caller, response_id, RESPONSE)
    cancellation.cancel(job, "cancelled by its owner")
    return _as_it_stands(finding.find(request.caller, response_id, RESPONSE))


@router.delete(
    "/responses/{response_id}",
    response=ResponseDeleted,
    summary="Delete a response",
    operation_id="responses_delete",
)
def delete(request: HttpRequest, response_id: str) -> dict[str, Any]:
    """Its text goes, the record of its charge stays. One that is still being written is cancelled first."""
    job = finding.find(request.caller, response_id, RESPONSE)
    cancellation.cancel(job, "deleted by its owner")
    with transaction.atomic():
        Job.objects.filter(pk=job.pk, deleted_at=None).update(deleted_at=timezone.now())
        TokenSegment.objects.filter(job=job).delete()
    return {"id": job.public_id, "object": "response", "deleted": True}


def _messages(fields: dict[str, Any]) -> tuple[Message, ...]:
    """The conversation of `input` and `instructions`; `text` is taken apart on the way."""
    text = fields.pop("text", None)
    if text is not None and not isinstance(text, dict):
        raise ApiError("invalid_type", "`text` has to be an object.", param="text")
    for name in text or {}:
        if name not in TEXT_KEYS:
            raise ApiError(
                "invalid_value", f"`text.{name[:40]}` is not known here.", param=f"text.{name[:40]}"
            )
    if (text or {}).get("verbosity") not in (None, "medium"):
        message = "This model can't do text.verbosity. Leave it out."
        raise ApiError("invalid_value", message, param="text.verbosity")
    fields["text.format"] = (text or {}).get("format")
    return conversation.of_input(fields.pop("input", None), fields.get("instructions"))


def _as_it_stands(job: Job) -> dict[str, Any]:
    text = "" if job.state == State.QUEUED else streaming.text_of(job.pk)
    language = job.spec.get("partial")
    early = job.finish_reason == "length" or job.state == State.CANCELLED
    found = streaming.parsing(job, text, language) if language and early else None
    return response_object(job, text, found)

"""/v1/videos, as the stock client calls it."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from ninja import Router
from pydantic import Field

from accounts.errors import ApiError
from generation import admission, cancellation, delivery
from generation.api import documents, shapes
from generation.api.fields import idempotency_key, known_only, request_fields
from generation.api.paging import Order, behind, not_seen
from generation.inputs import input_images
from generation.lineage import extensions, remixes
from generation.models import Job
from generation.retention import removal
from generation.scheduling import told
from generation.scheduling.standing import Standing, standing

router = Router(tags=["videos"])

FIELDS = ("prompt", "model", "size", "seconds", "seed", "steps", "input_reference")
PUBLIC_ID = re.compile(r"video_([0-9a-f]{32})")
Variant = Literal["video", "thumbnail", "spritesheet"]
NOT_OFFERED = (
    "No model here edits finished frames. A remix makes a clip again with other words and the same seed; an extension "
    "goes on from its last frame. Nothing was queued or charged."
)


@router.post(
    "/videos",
    response=documents.Video,
    openapi_extra=documents.body(documents.CLIP_FIELDS),
    summary="Make a clip",
)
def create(request: HttpRequest, response: HttpResponse):
    """Queues a clip and returns at once. Multipart, as the stock client sends it, or JSON."""
    key = idempotency_key(request)
    fields = known_only(request_fields(request, files=("input_reference",)), FIELDS)
    fields["input_reference"] = input_images.received(fields.get("input_reference"))
    job = admission.submit_clip(request.caller, fields, idempotency_key=key, source="api")
    return _submitted(job, response)


@router.get("/videos", response=documents.VideoPage, summary="List clips")
def page(
    request: HttpRequest,
    after: str | None = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    order: Order = "desc",
):
    """The organization's clips by time of creation. `after` is the last id of the page before."""
    organization_id = request.caller.organization.pk
    jobs = list(behind(_visible(request), order, _cursor(after), organization_id)[: limit + 1])
    shown, more = jobs[:limit], len(jobs) > limit
    states = shapes.credential_states(shown)
    return {
        "object": "list",
        "data": [shapes.video(job, states) for job in shown],
        "first_id": shown[0].public_id if shown else None,
        "last_id": shown[-1].public_id if shown else None,
        "has_more": more,
    }


@router.post(
    "/videos/extensions",
    response=documents.Video,
    openapi_extra=documents.body(documents.EXTENSION_FIELDS, required=("prompt", "video")),
    summary="Extend a clip",
    operation_id="extend_clip",
)
def extend(request: HttpRequest, response: HttpResponse):
    """Queues a clip that begins from the last frame of a delivered one, where its model can begin from a picture.

    `video` is the id of the clip, as `{"id": …}` or as it is, or its file as it was downloaded. What is left out
    (`model`, `size`) is the clip's own; the answer is the new clip alone.
    """
    key = idempotency_key(request)
    fields = known_only(request_fields(request, files=("video",)), extensions.FIELDS)
    named = extensions.named(fields)
    if named is None:
        parent = extensions.by_file(_visible(request), fields["video"])
    else:
        parent = find(request, named, "video")
    job = extensions.submit(request.caller, parent, fields, idempotency_key=key)
    return _submitted(job, response)


@router.post("/videos/edits", summary="Edit a clip (not offered)", operation_id="edit_clip")
@router.post("/videos/characters", summary="Make a character (not offered)", operation_id="make_character")
def not_offered(request: HttpRequest):
    """A clear 501, so that a client doesn't try again."""
    raise ApiError("not_implemented", NOT_OFFERED)


@router.get("/videos/characters/{character_id}", summary="Read a character (not offered)")
def character(request: HttpRequest, character_id: str):
    """As `not_offered`."""
    return not_offered(request)


@router.get("/videos/{video_id}", response=documents.Video, summary="Read a clip")
def retrieve(request: HttpRequest, video_id: str, response: HttpResponse):
    """The clip with its place in the queue, its progress, its quote and its charge."""
    job = find(request, video_id)
    return _shown(job, response, standing(job) if job.is_open else None)


@router.delete("/videos/{video_id}", response=documents.Deleted, summary="Cancel or delete a clip")
def delete(request: HttpRequest, video_id: str):
    """Cancels a clip that is still being made (charged for the steps that ran); deletes one that has ended."""
    job = find(request, video_id)
    if job.is_open:
        cancellation.cancel(job, "cancelled by its owner")
    else:
        removal.delete(job, request.caller)
    return {"id": job.public_id, "object": "video.deleted", "deleted": True}


@router.api_operation(["GET", "HEAD"], "/videos/{video_id}/content", summary="Download a clip")
def content(request: HttpRequest, video_id: str, variant: Variant = "video", download: bool = False):
    """Redirects to a link that lives for a minute and takes Range. `download=true` asks browsers to save it.

    `variant`: the clip (MP4), its thumbnail (WebP) or a sprite sheet of its frames (JPEG), each with credentials.
    """
    link = HttpResponseRedirect(delivery.clip_link(find(request, video_id), variant, attachment=download))
    link["Cache-Control"] = "no-store"
    return link


@router.post(
    "/videos/{video_id}/remix",
    response=documents.Video,
    openapi_extra=documents.body(documents.REMIX_FIELDS),
    summary="Remix a clip",
)
def remix(request: HttpRequest, video_id: str, response: HttpResponse):
    """Queues a completed clip again with other words: the same model, size, length and seed unless they are given."""
    key = idempotency_key(request)
    parent = find(request, video_id)
    fields = known_only(request_fields(request, files=("input_reference",)), remixes.FIELDS)
    fields["input_reference"] = input_images.received(fields.get("input_reference"))
    return _submitted(remixes.submit(request.caller, parent, fields, idempotency_key=key), response)


def find(request: HttpRequest, video_id: str, param: str = "video_id") -> Job:
    """The caller's clip; another organization's is simply not found."""
    match = PUBLIC_ID.fullmatch(video_id)
    job = _visible(request).filter(pk=UUID(match[1])).first() if match else None
    if job is None:
        raise ApiError("not_found", f"There is no clip {video_id[:80]!r} in this organization.", param=param)
    return job


def _visible(request: HttpRequest) -> QuerySet[Job]:
    return shapes.visible_clips(request.caller.organization.pk)


def _submitted(job: Job, response: HttpResponse) -> dict[str, Any]:
    job = shapes.just_queued(job)
    place = standing(job) if job.is_open else None
    told.note(job, place)
    return _shown(job, response, place)


def _shown(job: Job, response: HttpResponse, place: Standing | None) -> dict[str, Any]:
    if job.is_open:
        response["openai-poll-after-ms"] = str(shapes.poll_after_ms(place))
    return shapes.video(job, shapes.credential_states([job]), place)


def _cursor(after: str | None) -> UUID | None:
    if not after:
        return None
    match = PUBLIC_ID.fullmatch(after)
    if match is None:
        raise not_seen()
    return UUID(match[1])

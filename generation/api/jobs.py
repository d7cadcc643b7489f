"""/api: what the public contract has no place for: a quote before submitting, and how a job got where it is."""

import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from accounts.api.paging import LARGEST_ID, Limit
from accounts.errors import ApiError
from accounts.identity import Caller
from billing import spans
from billing.settlement_rules import RULES
from generation import admission, cancellation
from generation.api import completions, documents, shapes, sse, videos
from generation.api.fields import known_only, request_fields
from generation.api.paging import Order, behind, not_seen
from generation.history import STATE_GROUPS
from generation.models import Attempt, Job, State
from generation.scheduling.standing import Standing, standing
from generation.streams import follow_progress

router = Router(tags=["jobs"])

JOB_ID = re.compile(
    r"(?:video_|cmpl[-_]|chatcmpl-|resp_)?"
    r"([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})"
)
Kind = Literal["clip", "code"]
STATES = {
    name: STATE_GROUPS[name] for name in ("open", "stopped")
}  # what a state may be called beside its own name
StateFilter = Literal[(*STATES, *State.values)]
# What a job's document shows as it is stored.
SAME = (
    *("kind", "state", "prompt", "spec", "steps", "device", "created_at", "started_at", "finished_at"),
    *("tokens_in", "tokens_out", "peak_memory_bytes", "checkpoint_bytes", "file_bytes"),
)


@router.post(
    "/quotes",
    response=documents.QuoteDocument,
    openapi_extra=documents.body(documents.CLIP_FIELDS | documents.CODE_FIELDS),
    summary="Quote a request",
)
def quote(request: HttpRequest, kind: Kind = "clip"):
    """What a clip or a completion would cost at most, and from which layers; nothing is queued, held or written."""
    fields = request_fields(request)
    if kind == "code":
        return _quoted(admission.quote_code(request.caller, known_only(fields, completions.FIELDS)))
    return _quoted(admission.quote_clip(request.caller, known_only(fields, videos.FIELDS)))


@router.get("/jobs", response=documents.JobPage, summary="List jobs")
def page(
    request: HttpRequest,
    limit: Limit = 20,
    after: Annotated[str | None, Query(None, description="The `last_id` of the page before.")] = None,
    order: Order = "desc",
    kind: Kind | None = None,
    state: StateFilter | None = None,
    model: Annotated[str | None, Query(None, max_length=100, description="An id of GET /v1/models.")] = None,
    api_key: Annotated[int | None, Query(None, ge=1, le=LARGEST_ID, description="Asked for with it.")] = None,
    since: Annotated[
        str, Query("", alias="from", description="Asked for from this date or moment on, UTC.")
    ] = "",
    until: Annotated[str, Query("", alias="to", description="And until this one; a date counts whole.")] = "",
):
    """Clips and completions with their stages and attempts. `state` is one state, or `open` or `stopped`."""
    organization_id = request.caller.organization.pk
    found = Job.objects.filter(organization=organization_id, deleted_at=None)
    wanted = {
        "kind": kind,
        "state__in": STATES.get(state, (state,)) if state else None,
        "model__name": model,
        "api_key": api_key,
        "created_at__gte": spans.moment(since, "from") if since else None,
        "created_at__lt": spans.moment(until, "to", end=True) if until else None,
    }
    found = found.filter(**{name: value for name, value in wanted.items() if value is not None})
    found = found.select_related("model", "lane__tier").prefetch_related("attempts")
    jobs = list(behind(found, order, _cursor(after), organization_id)[: limit + 1])
    shown = jobs[:limit]
    return {
        "object": "list",
        "data": [_listed(job, None) for job in shown],
        "has_more": len(jobs) > limit,
        "last_id": shown[-1].public_id if shown else None,
    }


@router.get("/jobs/{job_id}", response=documents.JobDocument, summary="Read a job")
def retrieve(request: HttpRequest, job_id: str):
    """A job with its attempts and every change of its state. Takes the id of a clip or a completion, too."""
    job = find(request.caller, job_id)
    return _document(job)


@router.post("/jobs/{job_id}/cancel", response=documents.JobDocument, summary="Cancel a job")
def cancel(request: HttpRequest, job_id: str):
    """At once while it waits, at its next step while it runs. A job that has ended stays as it is."""
    job = find(request.caller, job_id)
    cancellation.cancel(job, "cancelled by its owner")
    return _document(find(request.caller, job_id))


@router.get("/jobs/{job_id}/stream", summary="Follow a job")
async def follow(request: HttpRequest, job_id: str) -> HttpResponse:
    """Server-sent events as the job changes: `state`, `step`, `preview`, then `end`. Leaving cancels nothing."""
    job = await sync_to_async(find)(request.caller, job_id)
    return sse.respond(_changes(job.pk))


async def _changes(job_id: UUID) -> AsyncIterator[bytes]:
    async for change in follow_progress(job_id):
        yield sse.HEARTBEAT if change is None else sse.event(change, name=change["kind"])


def _cursor(after: str | None) -> UUID | None:
    if after is None:
        return None
    match = JOB_ID.fullmatch(after)
    if match is None:
        raise not_seen()
    return UUID(match[1])


def find(caller: Caller, job_id: str) -> Job:
    """The caller's job with its timeline; another organization's is simply not found."""
    match = JOB_ID.fullmatch(job_id)
    jobs = (
        Job.objects.filter(organization=caller.organization, deleted_at=None)
        .select_related("model", "lane__tier")
        .prefetch_related("attempts", "events")
    )
    job = jobs.filter(pk=UUID(match[1])).first() if match else None
    if job is None:
        raise ApiError("not_found", f"There is no job {job_id[:80]!r} in this organization.", param="job_id")
    return job


def _quoted(found: dict[str, Any]) -> dict[str, Any]:
    quote = found["quote"]
    verdict = quote.verdict
    return {
        "model": found["model"],
        "spec": found["spec"],
        "allowed": verdict.allowed,
        "code": verdict.code or None,
        "message": verdict.message,
        "would_allow": verdict.would_allow or None,
        "retry_after_s": verdict.retry_after_s,
        "units": quote.units_micro / shapes.MICRO,
        "quote": quote.amount_micro / shapes.MICRO,
        "quote_micro": quote.amount_micro,
        "available_micro": quote.available_micro,
        "micro_per_unit": quote.price_version.micro_per_unit,
        "price_version": quote.price_version.pk,
        "estimate_gpu_s": found["gpu_ms"] / 1000,
        "layers": verdict.layer_rows(),
        "settlement": [asdict(rule) for rule in RULES],
    }


def _document(job: Job) -> dict[str, Any]:
    events = sorted(job.events.all(), key=lambda event: (event.at, event.pk))
    return {**_listed(job, standing(job) if job.is_open else None), "events": events}


def _listed(job: Job, place: Standing | None) -> dict[str, Any]:
    attempts = sorted(job.attempts.all(), key=lambda attempt: attempt.fence)
    live = next((attempt for attempt in attempts if attempt.ended_at is None), None)
    return {
        **{name: getattr(job, name) for name in SAME},
        **shapes.where(place),
        **shapes.money(job),
        "id": job.public_id,
        "model": job.model.name,
        "model_revision": job.model.revision,
        "precision": shapes.precision(job),
        "cause": job.state_cause,
        "parent": _parent(job),
        "steps_run": shapes.steps_run(job, live),
        "checkpoints": max(job.checkpoints, live.checkpoints if live else 0),
        "stages": job.stages or (live.stages if live else {}),
        "error": shapes.failure(job),
        "decision": str(job.decision_id),
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _parent(job: Job) -> dict[str, str] | None:
    return {"id": job.parent_public_id, "relation": job.parent_relation} if job.parent_id else None


def _attempt(attempt: Attempt) -> dict[str, Any]:
    values = {name: getattr(attempt, name) for name in documents.AttemptDocument.model_fields}
    spans = [dict(zip(("stage", "start_ms", "end_ms"), entry, strict=True)) for entry in attempt.trace]
    return values | {"trace": spans}

"""A job's page: everything that happened, in order, and while it happens."""

from collections.abc import AsyncIterator
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import second_factor
from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller, session_caller
from accounts.models import StaffRole
from generation import cancellation, delivery, history, timeline
from generation.models import Attempt, Job, Kind, State
from generation.pages import code, live
from generation.pages.cards import Standings, cards
from generation.pages.copies import copies_of
from generation.sharing import shares
from generation.stage_times import StageTime, stage_times


@require_GET
@member("read")
def job(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """The page, complete as of now; it then follows /events."""
    return page(request, history.find(caller.organization.pk, job_id))


def page(request: HttpRequest, found: Job, shown: dict | None = None) -> HttpResponse:
    """A job's page; `shown` is what an action on it has to say."""
    staff = StaffRole.Role.OPERATOR in second_factor.usable_roles(request)
    copies = copies_of(found, request.build_absolute_uri("/v1"))
    given = {**body(found, staff), "copies": copies, **(shown or {})}
    return render(request, "generation/job.html", given)


async def events(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The page's body whenever it changes, until the job has ended."""
    caller = await live.in_thread(session_caller, request)
    if caller is None:
        return HttpResponse(status=403)
    staff = StaffRole.Role.OPERATOR in await live.in_thread(second_factor.usable_roles, request)
    await live.in_thread(history.find, caller.organization.pk, job_id)
    return live.response(_body_events(caller, job_id, staff, get_token(request)))


async def _body_events(caller: Caller, job_id: UUID, staff: bool, csrf_token: str) -> AsyncIterator[str]:
    standings = Standings()

    def look() -> tuple[dict[str, str], bool]:
        found = history.find(caller.organization.pk, job_id)
        shown = {**body(found, staff, standings), "csrf_token": csrf_token}
        parts = {
            "live": render_to_string("generation/parts/job_live.html", shown),
            "story": render_to_string("generation/parts/job_story.html", shown),
            "facts": render_to_string("generation/parts/job_facts.html", shown),
        }
        parts |= live.balance_part(caller.organization.pk)
        return parts, not found.is_open

    async for one in live.changed_parts([job_id], look):
        yield one


@require_POST
@member("generate")
def cancel(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """Stop a job; what it costs is on the button."""
    found = history.find(caller.organization.pk, job_id)
    try:
        found = cancellation.cancel(found, "cancelled on its page")
        words = (
            "It stops after this step." if found.is_open else found.error_message or "It had ended already."
        )
        messages.info(request, words)
    except ApiError as error:
        messages.error(request, error.message)
    target = request.POST.get("back")
    return redirect("studio") if target == "studio" else redirect("job", found.public_id)


@require_GET
@member("read")
def clip(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """To the clip's file: authorized here, then a link that lives a minute. `?download` sends it as an attachment."""
    found = history.find(caller.organization.pk, job_id, Kind.CLIP)
    return _no_store(redirect(delivery.clip_link(found, attachment="download" in request.GET)))


@require_GET
@member("read")
def preview(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """To the newest preview that passed the gates."""
    found = history.find(caller.organization.pk, job_id, Kind.CLIP)
    shown = next((turn for turn in reversed(found.turns) if turn.preview), None)
    link = delivery.preview_link(shown) if shown else None
    if link is None:
        raise ApiError("not_found", "There is no preview of this clip yet.")
    return _no_store(redirect(link))


def _no_store(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-store"
    return response


def body(found: Job, staff: bool, standings: Standings | None = None) -> dict:
    """What the parts of the page show; fourteen queries at most beside those that found the job."""
    (card,) = cards([found], standings)
    story = history.story(found)
    answer = code.answer_of(found) if found.kind == Kind.CODE else ""
    return {
        "card": card,
        "job": found,
        "story": story,
        "files": history.files_of(found),
        "moments": timeline.moments(story),
        "credential": story.credentials[-1] if story.credentials else None,
        "answer": answer,
        "stage_times": _stage_times(found, story.attempts),
        "staff": staff,
        **sharing(found),
    }


def sharing(found: Job) -> dict:
    """What the panel of share links shows; one query for a clip that may have any."""
    if found.kind != Kind.CLIP or found.state != State.DELIVERED:
        return {}
    return {"shares": shares.live_of(found, timezone.now()), "share_days": shares.DAYS}


def _stage_times(found: Job, attempts: list[Attempt]) -> list[StageTime]:
    """Of the attempt that made it, or of the newest that said something."""
    told = [attempt for attempt in attempts if attempt.trace]
    if not told:
        return stage_times(found.stages)
    return stage_times(found.stages or told[-1].stages, told[-1].trace)

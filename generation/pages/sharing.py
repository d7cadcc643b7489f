"""Share links on a clip's page, and the public page that such a link leads to."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from generation import delivery, history
from generation.models import Job, Kind
from generation.pages import job as job_page
from generation.sharing import shares


@require_http_methods(["GET", "POST"])
@never_cache
@member("generate")
def share(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """Make a link; it is shown this once, in the answer itself: the panel with htmx, the whole page without.

    Asked for again, it leads to the clip's page: a reload makes no other link.
    """
    found = history.find(caller.organization.pk, job_id, Kind.CLIP)
    if request.method == "GET":
        return redirect(f"{reverse('job', args=[found.public_id])}#share")
    days, now = request.POST.get("days", ""), timezone.now()
    shown: dict = {}
    try:
        made = shares.share(
            found,
            caller,
            days=int(days) if days.isascii() and days.isdigit() and len(days) < 4 else 0,
            shows_prompt="shows_prompt" in request.POST,
            now=now,
        )
        shown["made_link"] = request.build_absolute_uri(f"/s/{made.token}/")
        shown["made"] = made.share
    except ApiError as error:
        shown["share_error"] = error
    shown["open_panel"] = True
    return _panel(request, found, shown) if request.htmx else job_page.page(request, found, shown)


@require_POST
@never_cache
@member("generate")
def revoke(request: HttpRequest, caller: Caller, job_id: UUID, share_id: int) -> HttpResponse:
    """End a link at once."""
    found = history.find(caller.organization.pk, job_id, Kind.CLIP)
    ended = shares.revoke(found, share_id, caller, timezone.now())
    words = "The link is ended. Nobody sees the clip by it from now on." if ended else "It had ended before."
    if request.htmx:
        return _panel(request, found, {"share_note": words})
    messages.info(request, words)
    return redirect(f"{reverse('job', args=[found.public_id])}#share")


def _panel(request: HttpRequest, found: Job, shown: dict) -> HttpResponse:
    return render(request, "generation/parts/share.html", {"job": found, **job_page.sharing(found), **shown})


@require_safe
@never_cache
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """What anybody with the link sees: the clip, that it was generated, and how to check and to report it."""
    try:
        share = shares.open_share(token, timezone.now())
    except ApiError as error:
        return _unlisted(render(request, "generation/shared.html", {"error": error}, status=error.status))
    return _unlisted(
        render(request, "generation/shared.html", {"share": share, "job": share.job, "token": token})
    )


@require_safe
@never_cache
def shared_clip(request: HttpRequest, token: str) -> HttpResponse:
    """To the file, by a link that lives a minute; looked at again here and at every use of that link."""
    share = shares.open_share(token, timezone.now())
    return _unlisted(redirect(delivery.clip_link(share.job, attachment="download" in request.GET)))


def _unlisted(response: HttpResponse) -> HttpResponse:
    """For no search engine, and the address with its secret goes nowhere."""
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Referrer-Policy"] = "no-referrer"
    return response

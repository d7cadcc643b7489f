"""The public page /report: anybody who was shown a clip says that it should not be there. Nobody has to sign in.

The answer is the same whether there is such a clip or not, so that the page tells nobody which clips exist.
"""

import re
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.errors import ApiError
from generation.afterwards import clip_reports
from generation.models import Job, Kind, State
from safety.review import reports

CLIP = re.compile(r"(?:video_)?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})")
FIELDS = ("clip", "category", "text")


@never_cache
@require_http_methods(["GET", "POST"])
def report(request: HttpRequest) -> HttpResponse:
    """The form, and what becomes of it; `?clip=` fills in the id."""
    given = {name: request.POST.get(name, request.GET.get(name, "")) for name in FIELDS}
    page: dict = {"given": given}
    if request.method == "POST":
        try:
            _take(given, visitor(request))
            page["sent"] = True
        except ApiError as error:
            page["error"] = error
    status = page["error"].status if "error" in page else 200
    return render(request, "generation/report.html", page, status=status)


def visitor(request: HttpRequest) -> str:
    """Who asks, by address, without keeping the address."""
    address = request.META.get("REMOTE_ADDR", "")
    return f"visitor:{salted_hmac('backlot.report', address).hexdigest()[:32]}"


def _take(given: dict[str, str], reporter: str) -> None:
    """Store the report where there is such a clip. Raises `ApiError` for a form that can't be read."""
    match = CLIP.fullmatch(given["clip"].strip().lower())
    if match is None:
        message = "Give the id of the clip: video_ and 32 letters and digits, as its credentials or address show it."
        raise ApiError("invalid_value", message, param="clip")
    reports.check(given["category"], given["text"])
    found = Job.objects.select_related("repeat_of").filter(
        pk=UUID(match[1]), kind=Kind.CLIP, state=State.DELIVERED, deleted_at=None
    )
    job = found.first()
    if job is not None:
        clip_reports.report_by_visitor(job, given["category"], given["text"], reporter)

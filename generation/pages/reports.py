"""The form on a clip's page that says it should not be there."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from generation import history
from generation.afterwards import clip_reports
from generation.models import Kind

THANKS = "Thank you. People look at this clip; you see here what becomes of it."


@require_POST
@member("read")
def report(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """Report a clip of the organization; one open report per person and clip."""
    found = history.find(caller.organization.pk, job_id, Kind.CLIP)
    category, text = request.POST.get("category", ""), request.POST.get("text", "")
    try:
        clip_reports.report_clip(found, category, text, caller)
        messages.success(request, THANKS)
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("job", found.public_id)

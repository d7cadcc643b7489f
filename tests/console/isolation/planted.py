"""A URL map with holes in it: the real one, and addresses that do what the matrix is there to find.

Each of `FLAWS` has its entry as an honest one would, and words that have to be among what the matrix says of it.
"""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone

from accounts import doors
from accounts.errors import ApiError
from accounts.identity import Caller, session_caller
from accounts.models import Membership, StaffRole
from console import urls
from generation import history
from generation.models import Job
from tests.console.isolation.entry import Entry, own, public, staff, tenant

CLIP = {"job_id": "{clip}"}
SLUG = {"slug": "{slug}"}


def shows(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Whoever's it is."""
    return JsonResponse({"prompt": Job.objects.get(pk=job_id).prompt})


def shows_to_programs(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """To whoever has a key, of any organization."""
    if "Authorization" not in request.headers:
        raise ApiError("not_found", "There is no such job.")
    return shows(request, job_id)


def tells_why(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """A refusal that names the owner."""
    name = Job.objects.get(pk=job_id).organization.name
    return HttpResponse(f"This belongs to {name}.", status=404)


def changes(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Refused, but done."""
    Job.objects.filter(pk=job_id).update(deleted_at=timezone.now())
    return HttpResponse(status=404)


def deletes(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Every method asks whose it is but one, which asks once: it is gone then."""
    if request.method != "DELETE" or not Job.objects.filter(pk=job_id, deleted_at=None).exists():
        return HttpResponse(status=404)
    Job.objects.filter(pk=job_id).update(deleted_at=timezone.now())
    return HttpResponse(status=204)


def forgets_scopes(request: HttpRequest, slug: str) -> HttpResponse:
    """To anybody of the organization, whatever they may do there."""
    caller = session_caller(request)
    if caller is None or caller.organization.slug != slug:
        raise ApiError("not_found", "There is no such organization among yours.")
    return HttpResponse("everything")


@doors.member("admin")
def helps_itself(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Takes the organization from the body and not from the caller."""
    Membership.objects.filter(pk=request.POST.get("member") or 0).update(role="billing")
    return HttpResponse("done")


def lets_staff_in(request: HttpRequest) -> HttpResponse:
    """Any of the staff, and without the second factor."""
    if not (request.user.is_authenticated and request.user.staff_roles):
        raise ApiError("not_found", "There is no such page.")
    return HttpResponse("the room")


def breaks(request: HttpRequest) -> HttpResponse:
    raise ValueError("no form has this field")


@doors.member("read")
def honest(request: HttpRequest, caller: Caller, job_id: uuid.UUID) -> HttpResponse:
    return HttpResponse(history.find(caller.organization.pk, job_id).prompt)


FLAWS: dict[str, tuple[Entry, tuple[str, ...]]] = {
    "planted/shows/<uuid:job_id>": (
        tenant("read", **CLIP),
        (
            "by anonymous: 200, not refused",
            "by another tenant's key: 200, not refused",
            "shows what is the victim's",
        ),
    ),
    "planted/shows-to-programs/<uuid:job_id>": (
        tenant("read", **CLIP),
        ("by another tenant's key: 200, shows what is the victim's",),
    ),
    "planted/tells-why/<uuid:job_id>": (
        tenant("read", **CLIP),
        ("by another tenant's owner: 404, shows what is the victim's",),
    ),
    "planted/changes/<uuid:job_id>": (
        tenant("read", **CLIP),
        ("wrote to ['generation_job'", "changed ['generation_job'"),
    ),
    "planted/deletes/<uuid:job_id>": (
        tenant("read", **CLIP),
        ("DELETE", "by anonymous: 204, not refused", "changed ['generation_job'"),
    ),
    "planted/forgets-scopes/<str:slug>": (
        tenant("admin", **SLUG),
        ("by a member of the organization: 200, not refused", "by a billing of the organization: 200"),
    ),
    "planted/helps-itself": (
        own("admin", member="{membership}"),
        ("by another tenant's owner changed ['accounts_membership'",),
    ),
    "planted/lets-staff-in": (
        staff(StaffRole.Role.OPERATOR),
        ("by staff: trust_safety: 200, not refused", "by staff without a second factor: 200, not refused"),
    ),
    "planted/breaks": (public(), ("by anonymous: 500, broke",)),
}
HONEST = "planted/honest/<uuid:job_id>"
HONEST_ENTRY = tenant("read", **CLIP)

urlpatterns = [
    *urls.urlpatterns,
    *(
        path(route, view)
        for route, view in zip(
            (*FLAWS, HONEST),
            (
                shows,
                shows_to_programs,
                tells_why,
                changes,
                deletes,
                forgets_scopes,
                helps_itself,
                lets_staff_in,
                breaks,
                honest,
            ),
            strict=True,
        )
    ),
]

"""Safety incidents: what was found, by hash, and what was done about it, line by line."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation.afterwards import rescan
from safety import incidents
from safety.models import SafetyIncident

ROLE = StaffRole.Role.TRUST_SAFETY
SHOWN = 100


@require_GET
@staff(ROLE)
def listed(request: HttpRequest, person: User) -> HttpResponse:
    """Open ones first, then the newest; `?state=` narrows it down."""
    return _list(request)


@require_POST
@staff(ROLE)
def open_by_hand(request: HttpRequest, person: User) -> HttpResponse:
    given = {name: request.POST.get(name, "") for name in ("title", "text", "subject")}
    try:
        made = incidents.by_hand(given["title"], given["text"], given["subject"], person)
    except ApiError as error:
        return _list(request, error, given)
    messages.success(request, f"Incident {made.pk} is open.")
    return redirect("safety_incident", made.pk)


@require_GET
@staff(ROLE)
def incident(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """One incident with its evidence and its timeline."""
    return _page(request, incident_id)


@require_POST
@staff(ROLE)
def note(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """Add a line."""
    found = get_object_or_404(SafetyIncident, pk=incident_id)
    try:
        incidents.note(found, person, request.POST.get("text", ""))
    except ApiError as error:
        return _page(request, incident_id, error)
    return redirect("safety_incident", incident_id)


@require_POST
@staff(ROLE)
def state(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """Close or reopen, with a reason."""
    wanted = "open" if request.POST.get("state") == "open" else "closed"
    try:
        incidents.set_state(incident_id, wanted, person, request.POST.get("reason", ""))
    except ApiError as error:
        return _page(request, incident_id, error)
    messages.success(request, f"Incident {incident_id} is {wanted}.")
    return redirect("safety_incident", incident_id)


@require_GET
@staff(ROLE)
def export(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """All of it as JSON."""
    found = get_object_or_404(SafetyIncident, pk=incident_id)
    response = JsonResponse(incidents.export(found), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'attachment; filename="incident-{incident_id}.json"'
    return response


def _list(request: HttpRequest, error: ApiError | None = None, given: dict | None = None) -> HttpResponse:
    chosen = request.GET.get("state", "")
    rows = SafetyIncident.objects.order_by("-state", "-opened_at")  # "open" sorts behind "closed"
    if chosen in SafetyIncident.State.values:
        rows = rows.filter(state=chosen)
    page = {
        "incidents": rows[:SHOWN],
        "count": rows.count(),
        "states": SafetyIncident.State.choices,
        "chosen": chosen,
        "rescans": rescan.figures(),
        "error": error,
        "given": given or {},
    }
    return render(request, "console/safety/incidents.html", page, status=error.status if error else 200)


def _page(request: HttpRequest, incident_id: int, error: ApiError | None = None) -> HttpResponse:
    found = get_object_or_404(SafetyIncident, pk=incident_id)
    facts = {name: value for name, value in found.evidence.items() if name not in ("verdicts", "pdq")}
    page = {
        "incident": found,
        "facts": facts,
        "verdicts": found.evidence.get("verdicts", []),
        "hashes": found.evidence.get("pdq", []),
        "notes": found.notes.order_by("at", "pk"),
        "operated_as": found.operated_as.order_by("-pk")[:5],
        "error": error,
    }
    return render(request, "console/safety/incident.html", page, status=error.status if error else 200)

"""Incidents: which goes first, one with its timeline and what to do about it, and everything that changes them."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.actions import Action
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import User
from console.incidents import export as files
from console.incidents import notes, shown
from console.incidents.changes import (
    AssignIncident,
    ChangeIncidentSeverity,
    LinkSafetyIncident,
    MoveIncident,
    OpenIncident,
    ReopenIncident,
)
from console.incidents.people import ROLES, role_of
from console.incidents.policy.course import ACKNOWLEDGED, MITIGATED, RESOLVED
from console.incidents.terms import FIELDS, ON_CALL_HOUR, ChangeIncidentSetting
from console.operations.expiries import EXPIRIES, expiry

ON_IT = "On it."  # acknowledging needs no words of its own
LONGEST_NUMBER = 18


@require_GET
@staff(*ROLES)
def incidents(request: HttpRequest, person: User) -> HttpResponse:
    """The open ones in their order, those that are over, the times they took; `?hour=` previews the on-call hour."""
    return _board(request, {"hour": request.GET.get("hour", "")})


@require_POST
@staff(*ROLES)
def open_one(request: HttpRequest, person: User) -> HttpResponse:
    """Somebody sees harm that no alarm told of."""
    given = {name: request.POST.get(name, "") for name in ("title", "grave", "severity", "began", "reason")}
    numbers = [_number(given[name]) for name in ("grave", "severity", "began")]
    action = OpenIncident(given["title"], *numbers, role=role_of(person))
    try:
        actions.perform(action, person, given["reason"])
    except ApiError as error:
        return _board(request, given, error)
    messages.success(request, f"Incident {action.incident_id} is open.")
    return redirect("operate_incident", action.incident_id)


@require_POST
@staff(ROLES[0])
def settings(request: HttpRequest, person: User) -> HttpResponse:
    """Change what an hour on call costs."""
    given = {name: request.POST.get(name, "") for name in ("hour", "reason", "expires")}
    try:
        action = ChangeIncidentSetting(value=FIELDS[ON_CALL_HOUR].read(given["hour"], "hour"))
        entry = actions.perform(action, person, given["reason"], expiry(given["expires"]))
    except ApiError as error:
        return _board(request, given, error)
    said = FIELDS[ON_CALL_HOUR].words(entry.after[ON_CALL_HOUR])
    messages.success(request, f"An on-call hour counts as {said} now.")
    return redirect("operate_incidents")


@require_GET
@staff(*ROLES)
def incident(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """One of them; `?do=<step>` opens a step of its runbook with what it would do now."""
    return _page(request, person, incident_id)


@require_POST
@staff(*ROLES)
def change(request: HttpRequest, person: User, incident_id: int, verb: str) -> HttpResponse:
    """Acknowledge, mitigate, resolve, reopen, assign, weigh, link."""
    if verb not in CHANGES:
        raise Http404
    action, done = CHANGES[verb]
    reason = request.POST.get("reason", "") or (ON_IT if verb in ("acknowledge", "take") else "")
    try:
        actions.perform(action(request, person, incident_id), person, reason)
    except ApiError as error:
        return _page(request, person, incident_id, error)
    messages.success(request, done)
    return redirect("operate_incident", incident_id)


Build = Callable[[HttpRequest, User, int], Action]


def _to(state: str) -> Build:
    return lambda request, person, incident_id: MoveIncident(incident_id, role_of(person), state)


def _assign(request: HttpRequest, person: User, incident_id: int) -> Action:
    return AssignIncident(incident_id, role_of(person), _number(request.POST.get("person", "")))


def _severity(request: HttpRequest, person: User, incident_id: int) -> Action:
    return ChangeIncidentSeverity(incident_id, role_of(person), _number(request.POST.get("severity", "")))


def _link(request: HttpRequest, person: User, incident_id: int) -> Action:
    return LinkSafetyIncident(incident_id, role_of(person), _number(request.POST.get("safety_incident", "")))


CHANGES: dict[str, tuple[Build, str]] = {
    "acknowledge": (_to(ACKNOWLEDGED), "It is acknowledged; whoever was told sees that somebody has it."),
    "mitigate": (_to(MITIGATED), "The harm has stopped. Resolve it once nothing is left to do."),
    "resolve": (_to(RESOLVED), "It is over. Write down what is to be done about it."),
    "reopen": (lambda request, person, found: ReopenIncident(found, role_of(person)), "It does harm again."),
    "take": (
        lambda request, person, found: AssignIncident(found, role_of(person), person.pk),
        "It is yours.",
    ),
    "assign": (_assign, "It is given."),
    "severity": (_severity, "Its severity is changed."),
    "link": (_link, "They lead to one another now."),
}


@require_POST
@staff(*ROLES)
def note(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """Add a note."""
    return _do(
        request, person, incident_id, lambda: notes.note(incident_id, request.POST.get("text", ""), person)
    )


@require_POST
@staff(*ROLES)
def follow_up(request: HttpRequest, person: User, incident_id: int) -> HttpResponse:
    """Give somebody something to do."""
    text, owner = request.POST.get("text", ""), _number(request.POST.get("owner", ""))
    return _do(request, person, incident_id, lambda: notes.follow_up(incident_id, text, owner, person))


@require_POST
@staff(*ROLES)
def done(request: HttpRequest, person: User, incident_id: int, task_id: int) -> HttpResponse:
    """It is done."""
    return _do(request, person, incident_id, lambda: notes.done(incident_id, task_id, person))


@require_GET
@staff(*ROLES)
def export(request: HttpRequest, person: User, incident_id: int, form: str) -> HttpResponse:
    """All of it as a file, JSON or Markdown."""
    now = timezone.now()
    row = shown.row_of(incident_id, now)
    if form == "json":
        response: HttpResponse = JsonResponse(files.as_json(row, now), json_dumps_params={"indent": 2})
    elif form == "md":
        response = HttpResponse(files.as_markdown(row, now), content_type="text/markdown; charset=utf-8")
    else:
        raise Http404
    response["Content-Disposition"] = f'attachment; filename="incident-{incident_id}.{form}"'
    return response


def _do(request: HttpRequest, person: User, incident_id: int, do: Callable[[], object]) -> HttpResponse:
    try:
        do()
    except ApiError as error:
        return _page(request, person, incident_id, error)
    return redirect("operate_incident", incident_id)


def _board(request: HttpRequest, given: dict, error: ApiError | None = None) -> HttpResponse:
    page = {**shown.of_board(timezone.now()), "given": given, "error": error, "expiries": EXPIRIES}
    if given.get("hour"):
        try:
            value = FIELDS[ON_CALL_HOUR].read(given["hour"], "hour")
            page["preview"] = ChangeIncidentSetting(value=value).preview()
        except ApiError as refusal:
            page["error"] = error or refusal
    status = page["error"].status if page["error"] else 200
    return render(request, "operate/incidents/index.html", page, status=status)


def _page(
    request: HttpRequest, person: User, incident_id: int, error: ApiError | None = None
) -> HttpResponse:
    now = timezone.now()
    page = shown.of_incident(shown.row_of(incident_id, now), person, now)
    page |= {"error": error, "given": request.POST if error else {}}
    return render(request, "operate/incidents/incident.html", page, status=error.status if error else 200)


def _number(text: str) -> int:
    """A number of a form; -1, which nothing has, where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER else -1

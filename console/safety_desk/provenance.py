"""Provenance, for trust & safety: the keys that sign, clips that wait for them, and whether files still verify."""

from django.conf import settings
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from generation.credentials import verification
from generation.credentials.held_actions import RetrySigning
from generation.models import Job, SigningOutage, State
from safety.credentials.signer_actions import NEW_DEVELOPMENT, RotateSigner
from safety.models import SignerKey

ROLE = StaffRole.Role.TRUST_SAFETY
CHANGES_SHOWN, HELD_SHOWN, OUTAGES_SHOWN, KEYS_SHOWN = 12, 30, 5, 20
NAMES = (RotateSigner.name, f"{RotateSigner.name}.undo", RetrySigning.name)
SOURCES = (
    (NEW_DEVELOPMENT, "A new development key, made here"),
    ("file", "Files in a folder"),
    ("environment", "Environment variables"),
    ("callback", "A callback (KMS or HSM)"),
)
PLACES = {
    "file": "The folder, with leaf.pem, intermediate.pem, leaf.key and root.pem",
    "environment": "The prefix, as SIGNING for SIGNING_CERTIFICATES, SIGNING_ANCHORS and SIGNING_KEY",
    "callback": "The dotted path, as safety.credentials.signer_remote.configured",
}


@require_GET
@staff(ROLE)
def provenance(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?source=&location=` shows what a rotation to that key would do, and asks for the reason."""
    given = {name: request.GET.get(name, "") for name in ("source", "location")}
    if not given["source"]:
        return _page(request, {})
    shown: dict = {"given": given}
    try:
        shown["preview"] = RotateSigner(**given).preview()
    except ApiError as error:
        shown["error"] = error
    return _page(request, shown)


@require_POST
@staff(ROLE)
def rotate(request: HttpRequest, person: User) -> HttpResponse:
    """Sign with another key from now on."""
    given = {name: request.POST.get(name, "") for name in ("source", "location")}
    reason = request.POST.get("reason", "")
    try:
        action = RotateSigner(**given)
        entry = actions.perform(action, person, reason)
    except ApiError as error:
        return _page(request, {"given": given, "reason": reason, "error": error}, status=error.status)
    messages.success(request, f"{entry.after['subject']} signs from the next signing on.")
    return redirect("safety_provenance")


@require_POST
@staff(ROLE)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Sign with the key before again."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=RotateSigner.name)
    try:
        undone = actions.revert(RotateSigner(NEW_DEVELOPMENT), entry, person, request.POST.get("reason", ""))
        messages.success(request, f"{undone.after['subject']} signs again.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_provenance")


@require_POST
@staff(ROLE)
def retry(request: HttpRequest, person: User) -> HttpResponse:
    """Try the signer in the next round."""
    try:
        actions.perform(RetrySigning(), person, request.POST.get("reason", ""))
        messages.success(request, "The signer is tried within seconds.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_provenance")


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    now = timezone.now()
    keys = list(SignerKey.objects.order_by("-pk")[:KEYS_SHOWN])
    active = next((key for key in keys if key.state == SignerKey.State.ACTIVE), None)
    waiting = Job.objects.filter(state=State.HELD)
    page = {
        **shown,
        "keys": keys,
        "active": active,
        "days_left": (active.not_after - now).days if active else None,
        "notice_days": settings.SIGNING_EXPIRY_NOTICE_DAYS,
        "time_stamps": settings.TIMESTAMP_URL,
        "budget_s": settings.SIGNING_BUDGET_SECONDS,
        "sources": SOURCES,
        "places": PLACES,
        "waiting": waiting.aggregate(count=Count("pk"))["count"],
        "held": list(waiting.select_related("organization").order_by("state_at")[:HELD_SHOWN]),
        "outages": list(SigningOutage.objects.order_by("-pk")[:OUTAGES_SHOWN]),
        "figures": verification.figures(),
        "failing": verification.failing(),
        "changes": _changes(),
    }
    page["down"] = next((one for one in page["outages"] if one.ended_at is None), None)
    return render(request, "console/safety/provenance.html", page, status=status)


def _changes() -> list[dict]:
    """The newest changes, with whether each can still be undone; two queries."""
    entries = list(AuditEntry.objects.filter(action__in=NAMES).order_by("-at", "-id")[:CHANGES_SHOWN])
    undoable = {entry.undo["new"]: entry.undo["old"] for entry in entries if entry.undo}
    states = dict(SignerKey.objects.filter(pk__in=[*undoable, *undoable.values()]).values_list("pk", "state"))
    return [{"entry": entry, "stands": _stands(entry, states)} for entry in entries]


def _stands(entry: AuditEntry, states: dict[int, str]) -> bool:
    """Whether its new key still signs and its old one is not retired."""
    if not entry.undo or entry.action != RotateSigner.name:
        return False
    new, old = states.get(entry.undo["new"]), states.get(entry.undo["old"])
    return (new, old) == (SignerKey.State.ACTIVE, SignerKey.State.RETIRING)

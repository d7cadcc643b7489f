"""Tiers of organizations: which is in force, what comes, and changing it with a preview and a date."""

from datetime import UTC, datetime

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, tiers
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Organization, StaffRole, Tier, User
from accounts.tier_changes import ChangeTier, coming

ADMIN = StaffRole.Role.BILLING_ADMIN
PER_PAGE, CHANGES_SHOWN = 50, 12


@require_GET
@staff(ADMIN)
def organizations(request: HttpRequest, person: User) -> HttpResponse:
    """Find an organization; `?q=` looks into names, slugs and members' addresses."""
    wanted = request.GET.get("q", "").strip()
    rows = Organization.objects.annotate(tier=tiers.tier_in_force(timezone.now())).order_by("name", "pk")
    if wanted:
        member = Q(memberships__user__email__icontains=wanted)
        rows = rows.filter(Q(name__icontains=wanted) | Q(slug__icontains=wanted) | member).distinct()
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/tiers.html", {"page": page, "wanted": wanted})


@require_GET
@staff(ADMIN)
def organization(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """One organization: tier now, coming changes, and the form."""
    return _page(request, get_object_or_404(Organization, slug=slug), {})


@require_POST
@staff(ADMIN)
def change(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """Preview a change, and apply it at the second press."""
    found = get_object_or_404(Organization, slug=slug)
    given = {name: request.POST.get(name, "") for name in ("tier", "effective_from", "reason")}
    try:
        action = ChangeTier(found, given["tier"], _moment(given["effective_from"]))
        if request.POST.get("step") != "apply":
            return _page(request, found, {"given": given, "preview": action.preview()})
        entry = actions.perform(action, person, given["reason"])
    except ApiError as error:
        return _page(request, found, {"given": given, "error": error}, error.status)
    messages.success(request, f"{found.name}: {entry.before['tier']} → {entry.after['tier']}.")
    return redirect("staff_tier", slug=slug)


@require_POST
@staff(ADMIN)
def undo(request: HttpRequest, person: User, slug: str, entry_id: int) -> HttpResponse:
    """Take a change back that is not in force yet."""
    found = get_object_or_404(Organization, slug=slug)
    entry = get_object_or_404(AuditEntry, pk=entry_id, organization=found, action=ChangeTier.name)
    try:
        actions.revert(ChangeTier(found), entry, person, request.POST.get("reason", ""))
        messages.success(request, "The change is taken back.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("staff_tier", slug=slug)


def _page(request: HttpRequest, found: Organization, shown: dict, status: int = 200) -> HttpResponse:
    now = timezone.now()
    terms = tiers.terms_for(found.pk, now)
    page = {
        "organization": found,
        "terms": terms,
        "coming": coming(found, now),
        "tiers": Tier.objects.all(),
        "changes": _changes(found, now),
        "given": {},
        **shown,
    }
    return render(request, "accounts/tier.html", page, status=status)


def _changes(found: Organization, now: datetime) -> list[dict]:
    """The newest changes; one that is not in force yet can be undone, if it is the last of its moment."""
    names = (ChangeTier.name, f"{ChangeTier.name}.undo")
    rows = AuditEntry.objects.filter(organization=found, action__in=names).order_by("-at", "-id")
    entries = list(rows[:CHANGES_SHOWN])
    undone_moments, changes = set(), []
    for entry in entries:
        start = datetime.fromisoformat(entry.after["effective_from"])
        undoes = entry.action != ChangeTier.name
        undoable = bool(entry.undo) and start > now and start not in undone_moments
        changes.append({"entry": entry, "start": start, "undoes": undoes, "undoable": undoable})
        undone_moments.add(start)
    return changes


def _moment(text: str) -> datetime | None:
    """A `datetime-local` field, which is read as UTC; None is at once."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise ApiError(
            "invalid_value", "Give the moment as date and time, in UTC.", "effective_from"
        ) from None

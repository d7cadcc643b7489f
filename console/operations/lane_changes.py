"""Changing a lane: what it would do to the last hour, applying that, taking it back."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from console.operations import lane_looks, lanes
from console.operations.expiries import expiry
from generation.scheduling.lane_actions import ChangeLaneWeight
from generation.scheduling.setting_actions import LANE_SETTINGS, ChangeLaneSetting


@require_GET
@staff(StaffRole.Role.OPERATOR)
def preview(request: HttpRequest, person: User, slug: str, field: str) -> HttpResponse:
    """What the change would do, as a part of the page."""
    shown: dict = {"field": field, "oob": True}
    try:
        shown["seen"] = lane_looks.look(person, slug, field, request.GET.get("value", ""))
    except ApiError as error:
        shown["error"] = error
    return render(request, "console/parts/lane_preview.html", shown)


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, slug: str, field: str) -> HttpResponse:
    """Apply a change that was looked at."""
    given = {name: request.POST.get(name, "") for name in ("value", "reason", "expires", "seen")}
    try:
        action = lane_looks.action_of(slug, field, given["value"])
        lane_looks.require_seen(given["seen"], person, action, field)
        entry = actions.perform(action, person, given["reason"], expiry(given["expires"]))
    except ApiError as error:
        shown = {"edit": slug, "field": field, "error": error, "given": given}
        return lanes.page(request, person, shown, status=error.status)
    setting = LANE_SETTINGS[field]
    before, after = setting.words(entry.before[field]), setting.words(entry.after[field])
    label = setting.label.lower()
    messages.success(request, f"{slug} went from {label} {before} to {after}, from the next claim on.")
    return redirect("operate_lanes")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    kinds = (ChangeLaneWeight.name, ChangeLaneSetting.name)
    entry = get_object_or_404(AuditEntry, pk=entry_id, action__in=kinds)
    slug = entry.target.partition(":")[2]
    field = (entry.undo or {}).get("field", "weight")
    action = (
        ChangeLaneWeight(slug) if entry.action == ChangeLaneWeight.name else ChangeLaneSetting(slug, field)
    )
    try:
        undone = actions.revert(action, entry, person, request.POST.get("reason", ""))
        setting = LANE_SETTINGS[field]
        words = f"{setting.label.lower()} {setting.words(undone.after[field])}"
        messages.success(request, f"{slug} is back at {words}.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_lanes")

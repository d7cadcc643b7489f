"""Prices: the versions of each, what another would have brought last week, and one that is on its way."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from billing import price_preview
from billing.actions.price_changes import SchedulePrice
from billing.models import Operation, PriceVersion
from console.billing import fields

ADMIN = StaffRole.Role.BILLING_ADMIN
VERSIONS_SHOWN = 40
GIVEN = ("operation", "price", "effective_from", "reason")


@require_http_methods(["GET", "POST"])
@staff(ADMIN)
def prices(request: HttpRequest, person: User) -> HttpResponse:
    """The list and the form; the first press shows what it would do, the second one schedules it."""
    if request.method == "GET":
        return _page(request, {"given": {"operation": request.GET.get("operation", Operation.CLIP)}})
    given = {name: request.POST.get(name, "") for name in GIVEN}
    try:
        action = SchedulePrice(
            given["operation"],
            fields.micro(given["price"], "price"),
            fields.moment(given["effective_from"], "effective_from"),
        )
        if request.POST.get("step") != "apply":
            preview = action.preview()
            return _page(request, {"given": given, "preview": preview, "effect": _effect(action)})
        entry = actions.perform(action, person, given["reason"])
    except ApiError as error:
        return _page(request, {"given": given, "error": error}, error.status)
    start = datetime.fromisoformat(entry.after["effective_from"])
    messages.success(
        request, f"Scheduled from {start:%Y-%m-%d %H:%M} UTC on. It can be taken back until then."
    )
    return redirect("billing_prices")


@require_POST
@staff(ADMIN)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a price back that is not in force yet."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=SchedulePrice.name)
    action = SchedulePrice(entry.target.partition(":")[2])
    try:
        actions.revert(action, entry, person, request.POST.get("reason", ""))
        messages.success(request, "The price is taken back. Nothing was ever charged by it.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("billing_prices")


def _effect(action: SchedulePrice) -> price_preview.Effect:
    return price_preview.effect(action.operation, action.micro_per_unit, timezone.now())


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    page = {"operations": Operation.choices, "versions": _versions(timezone.now()), **shown}
    return render(request, "console/billing/prices.html", page, status=status)


def _versions(now: datetime) -> list[dict]:
    """Versions of each operation, newest first, with which is in force and what can be taken back; two queries."""
    rows = PriceVersion.objects.order_by("operation", "-effective_from")[:VERSIONS_SHOWN]
    scheduled = AuditEntry.objects.filter(action=SchedulePrice.name, at__gt=now - SchedulePrice.REACHES)
    entries = {entry.undo["price"]: entry.pk for entry in scheduled}
    found, in_force = [], set()
    for row in rows:
        coming = row.effective_from > now
        current = not coming and row.operation not in in_force
        if current:
            in_force.add(row.operation)
        found.append(
            {
                "row": row,
                "coming": coming,
                "current": current,
                "entry": entries.get(row.pk) if coming else None,
            }
        )
    return found

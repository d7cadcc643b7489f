"""The audit log as pages: all of it for staff, an organization's own entries for its owners."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from accounts import audit_chain
from accounts.doors import member, staff
from accounts.identity import Caller
from accounts.models import AuditEntry, Membership, StaffRole, User

PER_PAGE = 50
FIELDS = ("actor", "action", "target", "since", "until")


@dataclass(frozen=True)
class Page:
    """A page of entries, newest first, and the address of the next, empty on the last."""

    entries: list[AuditEntry]
    filters: dict[str, str]
    older: str


@require_GET
@staff(*StaffRole.Role.values)
def audit_log(request: HttpRequest, person: User) -> HttpResponse:
    """Everything, filtered by who, what, on what and when."""
    rows = AuditEntry.objects.select_related("organization")
    page = {"page": _read(request, rows), "seal": audit_chain.last_seal(), "whole": True}
    return render(request, "accounts/audit.html", page)


@require_GET
@member("admin")
def own_log(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What happened in the reader's organization. Staff are named as staff: who they are is not for tenants."""
    found = _read(request, AuditEntry.objects.filter(organization=caller.organization), people=False)
    insiders = set(
        Membership.objects.filter(organization=caller.organization).values_list("user_id", flat=True)
    )
    outsiders = {entry.actor_id for entry in found.entries} - insiders - {None}
    staff_ids = set(StaffRole.objects.filter(user__in=outsiders).values_list("user_id", flat=True))
    for entry in found.entries:
        if entry.actor_id in staff_ids:
            entry.actor_name = "Backlot staff"
            entry.after = _without_names(entry.after)
    page = {"page": found, "seal": audit_chain.last_seal(), "whole": False}
    return render(request, "accounts/audit.html", page)


def _read(request: HttpRequest, rows: QuerySet[AuditEntry], people: bool = True) -> Page:
    filters = {name: request.GET.get(name, "").strip()[:200] for name in FIELDS}
    narrowed = Q()
    if filters["actor"] and people:
        narrowed &= Q(actor_name__icontains=filters["actor"])
    if filters["action"]:
        narrowed &= Q(action__startswith=filters["action"])
    if filters["target"]:
        narrowed &= Q(target__icontains=filters["target"])
    if since := _day(filters["since"]):
        narrowed &= Q(at__gte=datetime.combine(since, time(), UTC))
    if until := _day(filters["until"]):
        narrowed &= Q(at__lt=datetime.combine(until + timedelta(days=1), time(), UTC))
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        narrowed &= Q(pk__lt=int(before))
    entries = list(rows.filter(narrowed).order_by("-pk")[: PER_PAGE + 1])
    older = ""
    if len(entries) > PER_PAGE:
        entries.pop()
        kept = {name: value for name, value in filters.items() if value}
        older = "?" + urlencode({**kept, "before": entries[-1].pk})
    return Page(entries, filters, older)


def _day(text: str) -> date | None:
    """A date of the filter; what is none filters nothing."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _without_names(after: object) -> object:
    if not isinstance(after, dict):
        return after
    return {key: value for key, value in after.items() if key != "approved_by"}

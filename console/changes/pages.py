"""Operate → Changes: every operator change with author, reason, before, after, its measured effect, and undo."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from console.changes import kinds, rows

ROLES = (StaffRole.Role.OPERATOR, StaffRole.Role.TRUST_SAFETY)


@require_GET
@staff(*ROLES)
def changes(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?action=` and `?who=` narrow it, `?before=` goes on."""
    asked = {name: request.GET.get(name, "").strip()[:100] for name in ("action", "who")}
    if asked["action"] not in kinds.BY_NAME:
        asked["action"] = ""
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    found = rows.newest(timezone.now(), **asked, before=before)
    older = ""
    if len(found) > rows.PER_PAGE:
        found.pop()
        kept = {name: value for name, value in asked.items() if value}
        older = "?" + urlencode({**kept, "before": found[-1].entry.pk})
    page = {
        "changes": found,
        "older": older,
        "asked": asked,
        "kinds": kinds.KINDS,
        "back": request.get_full_path(),
    }
    return render(request, "console/changes/changes.html", page)


@require_POST
@staff(*ROLES)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back; to the page that it was asked for on."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action__in=kinds.BY_NAME)
    kind = kinds.of(entry)
    try:
        if kind.again is None:
            raise ApiError("invalid_value", "There is no way back from this change.", param="entry")
        actions.revert(kind.again(entry), entry, person, request.POST.get("reason", ""))
        messages.success(request, "Taken back: what held before holds again.")
    except ApiError as error:
        messages.error(request, error.message)
    back = request.POST.get("back", "")
    here = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    return redirect(back if here and back.startswith("/") else "operate_changes")

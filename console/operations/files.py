"""Files: how long those of delivered clips are kept per tier, what lies there, and the change of it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from generation.retention import board
from generation.retention.actions import ChangeFileRetention, in_words

CHANGES_SHOWN = 12


@require_GET
@staff(StaffRole.Role.OPERATOR)
def files(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?tier=plus&days=14` opens the panel that says what it would do and asks why; no days: kept."""
    tier = request.GET.get("tier", "")
    return _page(request, tier, request.GET.get("days"))


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, tier: str) -> HttpResponse:
    """Set a tier's days."""
    given, reason = request.POST.get("days", ""), request.POST.get("reason", "")
    try:
        actions.perform(ChangeFileRetention(tier, _days(given)), person, reason)
    except ApiError as error:
        return _page(request, tier, given, error, reason)
    messages.success(request, f"Files of {tier} clips are kept {in_words(_days(given))} from now on.")
    return redirect("operate_files")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=ChangeFileRetention.name)
    action = ChangeFileRetention(entry.target.partition(":")[2], None)
    try:
        undone = actions.revert(action, entry, person, request.POST.get("reason", ""))
        words = in_words(undone.after["days"])
        messages.success(request, f"Files of {action.tier} clips are kept {words} again.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_files")


def _days(given: str) -> int | None:
    """The days of the form; empty is None. Raises ApiError invalid_value."""
    if not given.strip():
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 5:
        message = "Give whole days, or leave it empty to keep files until they are deleted."
        raise ApiError("invalid_value", message, param="days")
    return int(given)


def _page(
    request: HttpRequest, tier: str, days: str | None, error: ApiError | None = None, reason: str = ""
) -> HttpResponse:
    rows = board.rows(timezone.now())
    page = {
        "rows": rows,
        "pending": board.pending(),
        "changes": _changes(),
        "error": error,
        "reason": reason,
        "editing": next((row for row in rows if row.tier.pk == tier), None),
        "days": days,
    }
    if page["editing"] and days is not None:
        page |= _look(tier, days)
        page["error"] = error or page.get("refusal")
    return render(request, "console/operate_files.html", page, status=error.status if error else 200)


def _look(tier: str, days: str) -> dict:
    try:
        return {"preview": ChangeFileRetention(tier, _days(days)).preview()}
    except ApiError as refusal:
        return {"refusal": refusal}


def _changes() -> list[dict]:
    """The newest changes; the newest of each tier can be undone, while nothing has undone it. One query."""
    names = (ChangeFileRetention.name, f"{ChangeFileRetention.name}.undo")
    changes, seen = [], set()
    for entry in AuditEntry.objects.filter(action__in=names).order_by("-at", "-id")[:CHANGES_SHOWN]:
        undoes = entry.action.endswith(".undo")
        changes.append(
            {
                "entry": entry,
                "tier": entry.target.partition(":")[2],
                "before": in_words(entry.before["days"]),
                "after": in_words(entry.after["days"]),
                "undoes": undoes,
                "stands": bool(entry.undo) and not undoes and entry.target not in seen,
            }
        )
        seen.add(entry.target)
    return changes

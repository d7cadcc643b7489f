"""Workers: what each one does, and telling it to run, drain, restart or take nothing, with a reason and a way back."""

from collections.abc import AsyncIterator
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, second_factor
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from console.operations.expiries import EXPIRIES, expiry
from generation.fleet import board as fleet_board
from generation.fleet.worker_actions import SetWorkerState
from generation.models import Worker
from generation.pages import live

CHANGES_SHOWN = 12
NAMES = (SetWorkerState.name, f"{SetWorkerState.name}.undo")
STATES = (
    ("run", "Run: take jobs"),
    ("drain", "Drain: take nothing new"),
    ("restart", "Restart: end, and be started anew"),
    ("quarantine", "Quarantine: take nothing until set to run"),
)


@require_GET
@staff(StaffRole.Role.OPERATOR)
def workers(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?edit=<worker>` opens the panel that sets its state."""
    return _page(request, {"edit": request.GET.get("edit", "")})


@require_GET
@staff(StaffRole.Role.OPERATOR)
def preview(request: HttpRequest, person: User, worker_id: UUID) -> HttpResponse:
    """What a new state would do, in a sentence, before anything is applied."""
    shown = {}
    try:
        shown["preview"] = SetWorkerState(worker_id, request.GET.get("state", "")).preview()
    except ApiError as error:
        shown["error"] = error
    return render(request, "console/parts/action_preview.html", shown)


@require_POST
@staff(StaffRole.Role.OPERATOR)
def change(request: HttpRequest, person: User, worker_id: UUID) -> HttpResponse:
    """Set the state."""
    given = {name: request.POST.get(name, "") for name in ("state", "reason", "expires")}
    action = SetWorkerState(worker_id, given["state"])
    try:
        entry = actions.perform(action, person, given["reason"], expiry(given["expires"]))
    except ApiError as error:
        shown = {"edit": str(worker_id), "error": error, "given": given}
        return _page(request, shown, status=error.status)
    messages.success(request, f"The worker is to {entry.after['desired']}, from its next step on.")
    return redirect("operate_workers")


@require_POST
@staff(StaffRole.Role.OPERATOR)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=SetWorkerState.name)
    action = SetWorkerState(UUID(entry.target.partition(":")[2]))
    try:
        undone = actions.revert(action, entry, person, request.POST.get("reason", ""))
        messages.success(request, f"The worker is to {undone.after['desired']} again.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("operate_workers")


async def events(request: HttpRequest) -> HttpResponseBase:
    """The table whenever it changes."""
    roles = await live.in_thread(lambda: second_factor.usable_roles(request))
    return live.response(_table_events()) if StaffRole.Role.OPERATOR in roles else HttpResponse(status=403)


async def _table_events() -> AsyncIterator[str]:
    def look() -> tuple[dict[str, str], bool]:
        shown = {"rows": fleet_board.rows(timezone.now())}
        return {"workers": render_to_string("console/parts/worker_table.html", shown)}, False

    async for one in live.changed_parts([], look):
        yield one


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    rows = fleet_board.rows(timezone.now())
    by_id = {str(row.worker.pk): row for row in rows if row.worker.stopped_at is None}
    page = {
        **shown,
        "rows": rows,
        "editing": by_id.get(shown["edit"]),
        "states": STATES,
        "expiries": EXPIRIES,
        "changes": _changes(),
    }
    return render(request, "console/operate_workers.html", page, status=status)


def _changes() -> list[dict]:
    """The newest changes of workers' states, with whether each can still be undone; two queries."""
    entries = list(AuditEntry.objects.filter(action__in=NAMES).order_by("-at", "-id")[:CHANGES_SHOWN])
    found = Worker.objects.in_bulk([UUID(entry.target.partition(":")[2]) for entry in entries])
    changes, told = [], set()
    for entry in entries:
        worker = found.get(UUID(entry.target.partition(":")[2]))
        newest = entry.target not in told
        told.add(entry.target)
        alive = worker is not None and worker.stopped_at is None
        stands = newest and alive and bool(entry.undo) and worker.desired == entry.undo["set"]
        changes.append(
            {"entry": entry, "worker": worker, "undoes": entry.action == NAMES[1], "stands": stands}
        )
    return changes

"""Approvals: what waits for a second person, with what it would do now, and how the last ones ended."""

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, approvals
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, StaffRole, User

WAITING_SHOWN, ENDED_SHOWN = 20, 20
VERBS = {
    "approve": (approvals.approve, "Approved: the change is made."),
    "reject": (approvals.reject, "Refused: nothing was changed."),
    "withdraw": (approvals.withdraw, "Withdrawn: nothing was changed."),
}


@dataclass(frozen=True)
class Waiting:
    """A row that waits, what its action would do now, and whether this reader may decide."""

    row: Approval
    preview: actions.Preview | None
    problem: str
    mine: bool
    decidable: bool


@require_GET
@staff(*StaffRole.Role.values)
def approvals_page(request: HttpRequest, person: User) -> HttpResponse:
    """Those of the reader's roles, and those they asked for themselves."""
    return _page(request, person)


@require_POST
@staff(*StaffRole.Role.values)
def decide(request: HttpRequest, person: User, approval_id: int, verb: str) -> HttpResponse:
    """Approve, refuse or withdraw, with a reason."""
    if verb not in VERBS:
        raise ApiError("not_found", "There is no such decision.")
    act, done = VERBS[verb]
    try:
        act(approval_id, person, request.POST.get("reason", ""))
        messages.success(request, done)
    except ApiError as error:
        return _page(request, person, error)
    return redirect("staff_approvals")


def _page(request: HttpRequest, person: User, error: ApiError | None = None) -> HttpResponse:
    visible = Approval.objects.filter(Q(role__in=person.staff_roles) | Q(requested_by=person))
    visible = visible.select_related("requested_by", "decided_by", "organization")
    now = timezone.now()
    waiting = visible.filter(state=Approval.State.PENDING, expires_at__gt=now).order_by("id")
    ended = visible.exclude(state=Approval.State.PENDING, expires_at__gt=now).order_by("-id")
    page = {
        "waiting": [_waiting(row, person) for row in waiting[:WAITING_SHOWN]],
        "waiting_count": waiting.count(),
        "ended": ended[:ENDED_SHOWN],
        "error": error,
    }
    return render(request, "accounts/approvals.html", page, status=error.status if error else 200)


def _waiting(row: Approval, person: User) -> Waiting:
    preview, problem = None, ""
    try:
        preview = approvals.rebuild(row).preview()
    except ApiError as refusal:
        problem = refusal.message
    except LookupError as gone:
        problem = f"This version of Backlot can't make it: {gone}."
    mine = row.requested_by_id == person.pk
    return Waiting(row, preview, problem, mine, not mine and row.role in person.staff_roles and not problem)

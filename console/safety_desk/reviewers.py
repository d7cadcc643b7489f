"""Reviewers: who may see and decide which class, how many must agree, and how much one person may see in a day."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, approvals
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, StaffRole, User
from safety.models import ReviewClass, Reviewer, ReviewLimits, ReviewPolicy
from safety.review.actions import LIMITS, POLICY, ChangeReviewRow, GrantReviewer, WithdrawReviewer

ROLE = StaffRole.Role.TRUST_SAFETY
NAMES = (GrantReviewer.name, WithdrawReviewer.name, ChangeReviewRow.name)
CHANGES_SHOWN = 12


@require_GET
@staff(ROLE)
def reviewers(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?row=limits&field=reveals_per_day&value=40` says what the change would be."""
    return _page(request, request.GET)


@require_POST
@staff(ROLE)
def grant(request: HttpRequest, person: User) -> HttpResponse:
    """Let somebody review a class."""
    asked = request.POST
    action = GrantReviewer(asked.get("email", ""), asked.get("class", ""), "escalated" in asked)
    try:
        done = approvals.submit(action, person, asked.get("reason", ""))
    except ApiError as error:
        return _page(request, asked, error)
    if isinstance(done, Approval):
        messages.info(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, f"{action.email} reviews this class now.")
    return redirect("safety_reviewers")


@require_POST
@staff(ROLE)
def withdraw(request: HttpRequest, person: User, reviewer_id: int) -> HttpResponse:
    """Take a permission away."""
    return _performed(request, person, WithdrawReviewer(reviewer_id), "The permission is gone.")


@require_POST
@staff(ROLE)
def change(request: HttpRequest, person: User) -> HttpResponse:
    """Change one setting."""
    return _performed(request, person, _changed(request.POST), "Changed, from the next item on.")


@require_POST
@staff(ROLE)
def undo(request: HttpRequest, person: User, entry_id: int) -> HttpResponse:
    """Take a change of a setting back."""
    entry = get_object_or_404(AuditEntry, pk=entry_id, action=ChangeReviewRow.name)
    _, row, field = entry.target.split(":")
    try:
        actions.revert(ChangeReviewRow(row, field, "0"), entry, person, request.POST.get("reason", ""))
        messages.success(request, "It is as it was.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_reviewers")


def _performed(request: HttpRequest, person: User, action: actions.Action, done: str) -> HttpResponse:
    try:
        actions.perform(action, person, request.POST.get("reason", ""))
    except ApiError as error:
        return _page(request, request.POST, error)
    messages.success(request, done)
    return redirect("safety_reviewers")


def _changed(asked) -> ChangeReviewRow:
    return ChangeReviewRow(asked.get("row", ""), asked.get("field", ""), asked.get("value", ""))


def _page(request: HttpRequest, asked, error: ApiError | None = None) -> HttpResponse:
    given = {name: asked.get(name, "") for name in ("row", "field", "value", "email", "class", "reason")}
    preview = None
    if given["field"] and given["value"] and error is None:
        try:
            preview = _changed(asked).preview()
        except ApiError as refusal:
            error = refusal
    limits = ReviewLimits.objects.get(pk=1)
    page = {
        "given": given,
        "preview": preview,
        "error": error,
        "classes": ReviewClass.choices,
        "permissions": Reviewer.objects.filter(withdrawn_at=None)
        .select_related("person")
        .order_by("review_class", "person__email"),
        "policies": ReviewPolicy.objects.order_by("review_class"),
        "limits": [(name, words[0], getattr(limits, name), words[1]) for name, words in LIMITS.items()],
        "fields": [(name, words[0], words[1]) for name, words in (*POLICY.items(), *LIMITS.items())],
        "changes": AuditEntry.objects.filter(action__in=(*NAMES, f"{ChangeReviewRow.name}.undo")).order_by(
            "-at", "-id"
        )[:CHANGES_SHOWN],
    }
    return render(request, "console/safety/reviewers.html", page, status=error.status if error else 200)

"""Withdrawn clips: take a delivered clip back, and bring a quarantined one back by a second person."""

import re
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, approvals
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, StaffRole, User
from generation.afterwards.withdrawal_actions import RestoreClip, WithdrawClip
from generation.models import Withdrawal, WithdrawalPolicy

ROLE = StaffRole.Role.TRUST_SAFETY
CLIP = re.compile(r"(?:video_)?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})")
SHOWN = 50


@require_GET
@staff(ROLE)
def withdrawals(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?clip=video_…` says what taking it back would do."""
    return _page(request, person, request.GET)


@require_POST
@staff(ROLE)
def withdraw(request: HttpRequest, person: User) -> HttpResponse:
    """Take it back, or ask a second person where the file is to be deleted."""
    try:
        done = approvals.submit(_action(request.POST), person, request.POST.get("reason", ""))
    except ApiError as error:
        return _page(request, person, request.POST, error)
    if isinstance(done, Approval):
        messages.info(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, "The clip is withdrawn: every link to it is dead.")
    return redirect("safety_withdrawals")


@require_POST
@staff(ROLE)
def restore(request: HttpRequest, person: User, withdrawal_id: int) -> HttpResponse:
    """Deliver it again."""
    try:
        actions.perform(RestoreClip(withdrawal_id), person, request.POST.get("reason", ""))
        messages.success(request, "The clip is delivered again.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("safety_withdrawals")


def _page(request: HttpRequest, person: User, asked, error: ApiError | None = None) -> HttpResponse:
    given = {name: asked.get(name, "") for name in ("clip", "disposal", "reason")}
    preview = None
    if given["clip"] and error is None:
        try:
            preview = _action(asked).preview()
        except ApiError as refusal:
            error = refusal
    rows = Withdrawal.objects.filter(of=None).select_related("job", "job__organization", "restored_by")
    page = {
        "given": given,
        "preview": preview,
        "error": error,
        "person": person,
        "rows": rows.order_by("-at", "-pk")[:SHOWN],
        "policy": WithdrawalPolicy.objects.get(pk=1),
        "disposals": Withdrawal.Disposal.choices,
    }
    return render(request, "console/safety/withdrawals.html", page, status=error.status if error else 200)


def _action(asked) -> WithdrawClip:
    match = CLIP.fullmatch(asked.get("clip", "").strip())
    if match is None:
        raise ApiError("invalid_value", "Give the clip as video_ and 32 hexadecimal digits.", param="clip")
    return WithdrawClip(UUID(match[1]), asked.get("disposal", "") or Withdrawal.Disposal.QUARANTINE)

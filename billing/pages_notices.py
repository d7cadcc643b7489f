"""Notices: what the organization was told about its credits, and when it wants to be told of a low balance."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from billing import notice_board
from billing.pages_budgets import amount_of


@require_GET
@member("read")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What was told, newest first; `before` is a notice's number."""
    found, older = notice_board.newest(caller.organization.pk, _number(request.GET.get("before", "")))
    shown = {
        "notices": found,
        "older": older,
        "paged": "before" in request.GET,
        "any_new": any(notice.read_at is None for notice in found),
        "threshold": notice_board.threshold(caller.organization.pk),
    }
    return render(request, "billing/notices.html", shown)


@require_POST
@member("read")
def read(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Mark all that the page showed as read."""
    notice_board.mark_read(caller.organization.pk, _number(request.POST.get("up_to", "")) or 0)
    return redirect("notices")


@require_POST
@member("billing")
def threshold(request: HttpRequest, caller: Caller) -> HttpResponse:
    """From which balance on to be told; an empty field follows the usual one."""
    text = request.POST.get("amount", "").strip()
    try:
        notice_board.set_threshold(caller, amount_of(text) if text else None)
    except ApiError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "The balance to tell at is set.")
    return redirect("notices")


def _number(value: str) -> int | None:
    if not value:
        return None
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise ApiError("invalid_value", "A notice has a number.", param="before")
    return int(value)

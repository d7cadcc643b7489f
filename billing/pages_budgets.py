"""Budgets: what the organization, a member or a key may use in a month, how far it is, and who set it."""

from decimal import Decimal, InvalidOperation

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from billing import budget_board, spans
from billing.budget_board import NOTHING

FIELDS = ("target", "amount", "soft_percent", "hard_stop")


@require_http_methods(["GET", "POST"])
@member("read")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The budgets with their progress; a POST sets one, with the scope billing."""
    error = None
    if request.method == "POST":
        caller.require("billing")
        try:
            _set(request, caller)
        except ApiError as refusal:
            error = refusal
        else:
            return redirect("budgets")
    now = timezone.now()
    organization_id = caller.organization.pk
    shown = {
        "standings": budget_board.standings(organization_id, now),
        "targets": budget_board.targets(organization_id) if "billing" in caller.scopes else None,
        "month": now,
        "renews_at": spans.next_month(now),
        "error": error,
        "given": request.POST if error else {"soft_percent": "80", "hard_stop": "on"},
    }
    return render(request, "billing/budgets.html", shown, status=error.status if error else 200)


@require_POST
@member("billing")
def remove(request: HttpRequest, caller: Caller, budget_id: int) -> HttpResponse:
    """End a budget; its organization, member or key is then limited by the balance alone."""
    budget_board.remove(caller, budget_id)
    messages.success(request, "The budget is removed.")
    return redirect("budgets")


def _set(request: HttpRequest, caller: Caller) -> None:
    given = {name: request.POST.get(name, "").strip() for name in FIELDS}
    scope, _, target = given["target"].partition(":")
    budget = budget_board.change(
        caller,
        scope,
        _whole(target, "target") if target else None,
        amount_of(given["amount"]),
        soft_percent=_whole(given["soft_percent"], "soft_percent"),
        hard_stop=bool(given["hard_stop"]),
    )
    stop = "Requests above it are refused." if budget.hard_stop else "It only alerts; requests go on."
    messages.success(request, f"The budget is set, from the next request on. {stop}")


def amount_of(text: str) -> int:
    """Credits as people type them ("1,500" or "0.5"), in micro-credits. Raises `ApiError` naming the field."""
    try:
        micro = Decimal(text.replace(",", "").replace(" ", "")) * 10**6
    except InvalidOperation:
        micro = Decimal("NaN")
    if not micro.is_finite() or micro < 0 or micro != micro.to_integral_value() or micro > 10**15:
        message = (
            f"The amount is a number of credits, such as 500 or 0.5, with six decimals at most. {NOTHING}"
        )
        raise ApiError("invalid_value", message, param="amount")
    return int(micro)


def _whole(text: str, param: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ApiError("invalid_value", f"`{param}` is a whole number. {NOTHING}", param=param)
    return int(text)

"""Promotion codes: making one, how often each was redeemed and by whom, switching one off."""

from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import actions, approvals
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, StaffRole, User
from billing.actions.promotion_codes import CreatePromotionCode, WithdrawPromotionCode
from billing.models import Account, PromotionCode
from console.billing import fields

ADMIN = StaffRole.Role.BILLING_ADMIN
SHOWN = 100
GIVEN = ("code", "credits", "last_days", "most", "valid_from", "valid_until", "reason")
USUAL = {"last_days": "90", "most": "100"}


@require_http_methods(["GET", "POST"])
@staff(ADMIN)
def promotions(request: HttpRequest, person: User) -> HttpResponse:
    """The list and the form; the first press shows what it would do, the second one makes the code."""
    if request.method == "GET":
        return _page(request, {"given": USUAL})
    given = {name: request.POST.get(name, "") for name in GIVEN}
    try:
        action = _action(given)
        if request.POST.get("step") != "apply":
            shown = {"given": given, "preview": action.preview(), "limit": action.second_person()}
            return _page(request, shown)
        done = approvals.submit(action, person, given["reason"])
    except ApiError as error:
        return _page(request, {"given": given, "error": error}, error.status)
    if isinstance(done, Approval):
        messages.warning(request, f"{done.limit} It waits under Approvals; there is no such code yet.")
    else:
        messages.success(request, f"{done.after['code']} can be redeemed.")
    return redirect("billing_promotions")


@require_GET
@staff(ADMIN)
def promotion(request: HttpRequest, person: User, promotion_id: int) -> HttpResponse:
    """One code with its redemptions, the newest first."""
    code = get_object_or_404(PromotionCode, pk=promotion_id)
    redeemed = code.redemptions.select_related("organization", "user", "transaction").order_by("-at")
    page = {"code": code, "redemptions": redeemed[:SHOWN], "count": redeemed.count(), "now": timezone.now()}
    page["left_micro"] = _left(code)
    return render(request, "console/billing/promotion.html", page)


@require_POST
@staff(ADMIN)
def withdraw(request: HttpRequest, person: User, promotion_id: int) -> HttpResponse:
    """Switch a code off."""
    code = get_object_or_404(PromotionCode, pk=promotion_id)
    try:
        actions.perform(WithdrawPromotionCode(code), person, request.POST.get("reason", ""))
        messages.success(request, f"{code.code} is off. What was redeemed stays.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("billing_promotion", promotion_id=code.pk)


def _action(given: dict) -> CreatePromotionCode:
    now = timezone.now()
    until = fields.moment(given["valid_until"], "valid_until")
    if until is None:
        raise ApiError(
            "missing_required_parameter", "Say until when it can be redeemed.", param="valid_until"
        )
    return CreatePromotionCode(
        code=given["code"],
        micro=fields.micro(given["credits"], "credits"),
        last_days=fields.whole(given["last_days"], "last_days"),
        most=fields.whole(given["most"], "most"),
        valid_from=fields.moment(given["valid_from"], "valid_from") or now,
        valid_until=until,
    )


def _left(code: PromotionCode) -> int:
    """What of the credits that this code brought is not spent and not expired, in micro-credits."""
    accounts = Account.objects.filter(
        kind=Account.Kind.PROMOTIONAL, entries__transaction__redemption__promotion=code
    )
    return int(accounts.aggregate(sum=Sum("balance", default=0))["sum"])


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    codes = PromotionCode.objects.annotate(used=Count("redemptions")).order_by("-created_at", "-pk")
    page = {"codes": codes[:SHOWN], "now": timezone.now(), **shown}
    return render(request, "console/billing/promotions.html", page, status=status)

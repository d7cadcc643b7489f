"""Settings of billing: the limit above which two people are needed, and what all organizations are told and given."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import approvals
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, StaffRole, User
from billing import billing_settings
from billing.actions.settings_changes import ChangeSettings
from billing.models import BillingSettings
from console.billing import fields

ADMIN = StaffRole.Role.BILLING_ADMIN
GIVEN = ("approval_above", "low_balance", "sla_credit_days", "reads_per_minute_factor", "reason")
SHOWN = 20


@require_http_methods(["GET", "POST"])
@staff(ADMIN)
def settings(request: HttpRequest, person: User) -> HttpResponse:
    """The settings in force with their history, and the form that makes newer ones."""
    if request.method == "GET":
        return _page(request, {})
    given = {name: request.POST.get(name, "") for name in GIVEN}
    try:
        action = ChangeSettings(
            approval_above_micro=fields.micro(given["approval_above"], "approval_above"),
            low_balance_micro=fields.micro(given["low_balance"], "low_balance"),
            sla_credit_days=fields.whole(given["sla_credit_days"], "sla_credit_days"),
            reads_per_minute_factor=fields.whole(given["reads_per_minute_factor"], "reads_per_minute_factor"),
        )
        if request.POST.get("step") != "apply":
            shown = {"given": given, "preview": action.preview(), "limit": action.second_person()}
            return _page(request, shown)
        done = approvals.submit(action, person, given["reason"])
    except ApiError as error:
        return _page(request, {"given": given, "error": error}, error.status)
    if isinstance(done, Approval):
        messages.warning(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, "The settings are in force.")
    return redirect("billing_settings")


def _page(request: HttpRequest, shown: dict, status: int = 200) -> HttpResponse:
    rows = BillingSettings.objects.order_by("-effective_from")[:SHOWN]
    page = {"now": billing_settings.in_force(timezone.now()), "rows": rows, **shown}
    return render(request, "console/billing/settings.html", page, status=status)

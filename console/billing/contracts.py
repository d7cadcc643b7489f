"""Overage by contract: its limit a month, and invoices that were paid."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import approvals
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, Organization, StaffRole, User
from billing.actions.contracts import MarkInvoicePaid, SetOverageContract
from billing.models import Invoice, OverageContract
from console.billing import fields

ADMIN = StaffRole.Role.BILLING_ADMIN
GIVEN = ("limit", "effective_from", "reason")
SHOWN = 20


@require_http_methods(["GET", "POST"])
@staff(ADMIN)
def contract(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    """The versions and the form; the first press shows what it would do, the second one sets it."""
    organization = get_object_or_404(Organization, slug=slug)
    if request.method == "GET":
        return _page(request, organization, {})
    given = {name: request.POST.get(name, "") for name in GIVEN}
    try:
        action = SetOverageContract(
            organization=organization,
            limit_month_micro=fields.micro(given["limit"], "limit"),
            effective_from=fields.moment(given["effective_from"], "effective_from"),
        )
        if request.POST.get("step") != "apply":
            shown = {"given": given, "preview": action.preview(), "limit": action.second_person()}
            return _page(request, organization, shown)
        done = approvals.submit(action, person, given["reason"])
    except ApiError as error:
        return _page(request, organization, {"given": given, "error": error}, error.status)
    _tell(request, done, "The contract is set.")
    return redirect("billing_contract", slug=slug)


@require_POST
@staff(ADMIN)
def invoice_paid(request: HttpRequest, person: User, slug: str, invoice_id: int) -> HttpResponse:
    """The money of an invoice arrived; the reason says how."""
    invoices = Invoice.objects.select_related("organization")
    invoice = get_object_or_404(invoices, pk=invoice_id, organization__slug=slug)
    action = MarkInvoicePaid(organization=invoice.organization, invoice=invoice)
    try:
        done = approvals.submit(action, person, request.POST.get("reason", ""))
        _tell(request, done, "The invoice is paid.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("billing_contract", slug=slug)


def _tell(request: HttpRequest, done: object, words: str) -> None:
    if isinstance(done, Approval):
        messages.warning(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, words)


def _page(request: HttpRequest, organization: Organization, shown: dict, status: int = 200) -> HttpResponse:
    mine = {"organization": organization}
    page = {
        "organization": organization,
        "versions": OverageContract.objects.filter(**mine).order_by("-effective_from")[:SHOWN],
        "invoices": Invoice.objects.filter(**mine).order_by("-month")[:SHOWN],
        **shown,
    }
    return render(request, "console/billing/contract.html", page, status=status)

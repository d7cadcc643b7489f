"""Grant, adjust, refund, void: a form, what it would do, and then the change or a request for a second person."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import approvals
from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import Approval, Organization, StaffRole, User
from billing import corrections
from billing.actions.adjustments import AdjustCredits, GrantCredits, RefundCharge, VoidTransaction
from billing.actions.payment_refunds import RefundPayment
from billing.models import Account, Charge, Payment, Transaction
from console.billing import fields
from console.billing.organizations import number

ADMIN = StaffRole.Role.BILLING_ADMIN
VERBS = {
    "grant": "Grant credits",
    "adjust": "Adjust purchased credits",
    "refund": "Refund a charge",
    "void": "Void a line",
    "pay-back": "Refund a payment",
}
# Why, in one word, before the words of the person: what is counted later.
REASONS = (
    "Goodwill",
    "Fault on our side",
    "Contract",
    "Wrong charge",
    "Asked by the customer",
    "Fraud",
    "Test",
)
BUCKETS = (
    (Account.Kind.PROMOTIONAL, "Promotional, with an expiry"),
    (Account.Kind.PURCHASED, "Purchased, stays"),
)
GIVEN = ("amount", "bucket", "until", "kind", "reason", "key")


@require_http_methods(["GET", "POST"])
@never_cache
@staff(ADMIN)
def change(request: HttpRequest, person: User, slug: str, verb: str) -> HttpResponse:
    """`?charge=`, `?line=` and `?payment=` name what a refund or a void is about."""
    if verb not in VERBS:
        raise ApiError("not_found", "There is no such change of credits.")
    organization = get_object_or_404(Organization, slug=slug)
    about = _about(request, organization, verb)
    given = {name: request.POST.get(name, "") for name in GIVEN}
    page = {"organization": organization, "verb": verb, "title": VERBS[verb], "given": given, **about}
    if request.method == "GET":
        page["given"] = {"key": str(uuid.uuid4()), "amount": _usual(about), "until": "", "reason": ""}
        return _page(request, page)
    try:
        action = _action(organization, verb, given, about)
        if request.POST.get("step") != "apply":
            return _page(request, {**page, **_previewed(action)})
        done = approvals.submit(action, person, _reason(given))
    except ApiError as error:
        return _page(request, {**page, "error": error}, error.status)
    return _done(request, organization, done)


def _about(request: HttpRequest, organization: Organization, verb: str) -> dict:
    """The charge, line or payment that the change is about, of this organization alone."""
    if verb == "refund":
        charges = Charge.objects.filter(organization=organization).select_related("usage_event__hold")
        charge = get_object_or_404(charges, pk=number(request.GET.get("charge", ""), "charge"))
        return {"charge": charge, "left_micro": charge.amount - corrections.refunded_micro(charge)}
    if verb == "void":
        lines = Transaction.objects.filter(organization=organization)
        return {"line": get_object_or_404(lines, pk=number(request.GET.get("line", ""), "line"))}
    if verb == "pay-back":
        return {"payment": _payment(request, organization)}
    return {}


def _payment(request: HttpRequest, organization: Organization) -> Payment:
    try:
        wanted = uuid.UUID(request.GET.get("payment", ""))
    except ValueError:
        raise ApiError("not_found", "There is no such payment.", param="payment") from None
    payments = Payment.objects.filter(organization=organization).select_related("pack")
    return get_object_or_404(payments, pk=wanted)


def _usual(about: dict) -> str:
    """What the form begins with: all that is left of the charge or payment."""
    if "charge" in about:
        return _credits(about["left_micro"])
    if "payment" in about:
        refunded = sum(refund.credits_micro for refund in about["payment"].refunds.exclude(state="failed"))
        return _credits(about["payment"].credits_micro - refunded)
    return ""


def _credits(micro: int) -> str:
    return f"{micro / fields.MICRO:.6f}".rstrip("0").rstrip(".")


def _action(organization: Organization, verb: str, given: dict, about: dict) -> Approvable:
    shared = {"organization": organization, "key": fields.key(given["key"])}
    if verb == "void":
        return VoidTransaction(**shared, line=about["line"])
    micro = fields.micro(given["amount"], "amount")
    if verb == "adjust":
        return AdjustCredits(**shared, micro=micro)
    if verb == "refund":
        return RefundCharge(**shared, charge=about["charge"], micro=micro)
    if verb == "pay-back":
        return RefundPayment(**shared, payment=about["payment"], micro=micro)
    until = fields.moment(given["until"], "until") if given["bucket"] == Account.Kind.PROMOTIONAL else None
    return GrantCredits(**shared, micro=micro, bucket=given["bucket"], until=until)


def _reason(given: dict) -> str:
    """Kind and words together; words of one's own are always asked for."""
    words = given["reason"].strip()
    if given["kind"] not in REASONS:
        raise ApiError("missing_required_parameter", "Choose what kind of reason it is.", param="kind")
    if not words:
        raise ApiError("missing_required_parameter", "Say why: the customer can read it.", param="reason")
    return f"{given['kind']}: {words}"


def _previewed(action: Approvable) -> dict:
    preview = action.preview()
    return {"preview": preview, "effect": _effect(preview), "limit": action.second_person()}


def _effect(preview: Preview) -> list[tuple[str, int, int]]:
    """(bucket, before, after) of every bucket that holds something or is changed."""
    rows = []
    for kind, before in preview.before.items():
        after = preview.after[kind]
        if before or after:
            rows.append((Account.Kind(kind).label, before, after))
    return rows


def _done(request: HttpRequest, organization: Organization, done: object) -> HttpResponse:
    if isinstance(done, Approval):
        messages.warning(request, f"{done.limit} It waits under Approvals; nothing was changed yet.")
    else:
        messages.success(request, f"Done, as line {done.after['transaction']}, and in the audit log.")
    return redirect("billing_organization", slug=organization.slug)


def _page(request: HttpRequest, page: dict, status: int = 200) -> HttpResponse:
    page = {**page, "reasons": REASONS, "buckets": BUCKETS}
    return render(request, "console/billing/adjust.html", page, status=status)

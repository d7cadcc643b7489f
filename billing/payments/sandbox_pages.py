"""The sandbox provider's own pages: its checkout, its bank's confirmation, its receipts. No money is taken on any.

They stand where a provider's site would: nobody signs in here, the id in the address is what lets a payer in. Where the
sandbox is not in use there are no such pages.
"""

from collections.abc import Callable
from functools import wraps

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.models import SandboxObject
from billing.payments import sandbox, sandbox_checkout, sandbox_delivery
from billing.payments.provider import SANDBOX, ProviderRefused, active_name
from billing.payments.sandbox_cards import CARDS, card

View = Callable[..., HttpResponse]


def in_use(view: View) -> View:
    """Only where the sandbox takes the payments, and for objects that it has."""

    @never_cache
    @wraps(view)
    def opened(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if active_name() != SANDBOX:
            raise Http404
        try:
            return view(request, *args, **kwargs)
        except ProviderRefused as unknown:
            raise Http404 from unknown

    return opened


@require_http_methods(["GET", "POST"])
@in_use
def checkout(request: HttpRequest, session_id: str) -> HttpResponse:
    """Pay with a test card."""
    if request.method == "GET":
        return _checkout(request, session_id, CARDS[0].number)
    number = request.POST.get("card", "")
    chosen = card(number)
    if chosen is None:
        return _checkout(request, session_id, number, "The sandbox takes its test cards only.")
    outcome = sandbox_checkout.try_card(session_id, chosen)
    sandbox_delivery.deliver(timezone.now())
    if outcome == sandbox_checkout.CONFIRM:
        return redirect("sandbox_confirm", session_id)
    if outcome == sandbox_checkout.DECLINED:
        return _checkout(
            request, session_id, number, "The card was declined. Nothing was charged; try another one."
        )
    return _leave(request, session_id, outcome)


@require_http_methods(["GET", "POST"])
@in_use
def confirm(request: HttpRequest, session_id: str) -> HttpResponse:
    """The bank's page: is it you?"""
    session = sandbox.kept("checkout.session", session_id)
    if request.method == "GET":
        return render(request, "billing/sandbox_confirm.html", {"session": session.body})
    outcome = sandbox_checkout.confirm(session_id, request.POST.get("answer") == "yes")
    sandbox_delivery.deliver(timezone.now())
    if outcome == sandbox_checkout.DECLINED:
        problem = "The payment was not confirmed. Nothing was charged; try again or use another card."
        return _checkout(request, session_id, CARDS[0].number, problem)
    if outcome == sandbox_checkout.OPEN:
        return redirect("sandbox_checkout", session_id)
    return _leave(request, session_id, outcome)


@require_http_methods(["GET", "POST"])
@in_use
def receipt(request: HttpRequest, charge_id: str) -> HttpResponse:
    """A receipt, or with `?as=invoice` an invoice; where the charge is disputed, a POST decides the dispute."""
    charge = sandbox.kept("charge", charge_id).body
    dispute = SandboxObject.objects.filter(pk=charge.get("dispute") or "").first()
    if request.method == "POST" and dispute is not None:
        sandbox.decide(dispute.pk, "won" if request.POST.get("decide") == "won" else "lost")
        sandbox_delivery.deliver(timezone.now())
        return redirect("sandbox_receipt", charge_id)
    page = {
        "charge": charge,
        "invoice": request.GET.get("as") == "invoice",
        "at": sandbox.moment(charge),
        "dispute": dispute.body if dispute and timezone.now() >= sandbox.disputed_at(dispute.body) else None,
    }
    return render(request, "billing/sandbox_receipt.html", page)


def _checkout(request: HttpRequest, session_id: str, number: str, problem: str = "") -> HttpResponse:
    session = sandbox.kept("checkout.session", session_id)
    if session.body["status"] != sandbox_checkout.OPEN:
        outcome = session.body["payment_status"]
        return _leave(request, session_id, outcome if outcome == "paid" else sandbox_checkout.OVER)
    chosen = card(number) or CARDS[0]
    page = {"session": session.body, "cards": CARDS, "chosen": chosen.number, "problem": problem}
    return render(request, "billing/sandbox_checkout.html", page)


def _leave(request: HttpRequest, session_id: str, outcome: str) -> HttpResponse:
    """Back to the seller."""
    session = sandbox.kept("checkout.session", session_id).body
    return redirect(session["success_url"] if outcome == "paid" else session["cancel_url"])

"""Buy credits: packs, balance, automatic top-up, and what was bought with its receipts."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.doors import member
from accounts.errors import ApiError
from accounts.identity import Caller
from accounts.models import Organization
from billing import statement
from billing.models import Account, AutoTopUp, Payment
from billing.payments import buying, outcomes, top_up_settings
from billing.payments import top_up as topping_up
from billing.payments.provider import OFF, SANDBOX, active_name

SHOWN = 20
RECEIPT_WITHIN = timedelta(minutes=1)  # a receipt that takes longer is there at the next visit
PAGE_KEY = "page:"  # what idempotency keys of this page begin with
MICRO = 1_000_000
State = Payment.State
# How a payment's state is shown: the role of its colour, and an icon. The word is the state's own.
LOOKS = {
    State.CREATED: ("notice", "ring"),
    State.PENDING: ("notice", "half"),
    State.PAID: ("ok", "check"),
    State.PARTLY_REFUNDED: ("", "undo"),
    State.REFUNDED: ("", "undo"),
    State.DISPUTED: ("warning", "warning"),
    State.LOST: ("danger", "cross"),
    State.FAILED: ("danger", "cross"),
    State.EXPIRED: ("", "dash"),
}


@require_GET
@member("billing")
def credits(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; `?after=` is a purchase's id, for the older ones."""
    return _page(request, caller, {})


@require_POST
@member("billing")
def buy(request: HttpRequest, caller: Caller) -> HttpResponse:
    """To the checkout of a pack. The page's key makes two presses one purchase."""
    pack = request.POST.get("pack", "")
    bought = f"{request.POST.get('key') or uuid.uuid4().hex}:{pack}"
    try:
        payment = buying.start(
            caller.organization,
            pack,
            user=caller.user,
            idempotency_key=PAGE_KEY + bought,
            keep_card="keep_card" in request.POST,
            returns=buying.returns_to(request.build_absolute_uri("/").rstrip("/"), bought),
            now=timezone.now(),
        )
    except ApiError as error:
        return _page(request, caller, {"error": error}, status=error.status)
    if payment.state in (State.PENDING, State.FAILED):
        return redirect(payment.checkout_url)
    messages.info(
        request, f"That purchase is {payment.get_state_display().lower()} already; press Buy for a new one."
    )
    return redirect("buy_credits")


@require_POST
@member("billing")
def top_up(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Switch automatic top-up on (or change it), or off."""
    now = timezone.now()
    if request.POST.get("do") == "off":
        top_up_settings.switch_off(caller.organization, user=caller.user, now=now)
        messages.success(request, "Automatic top-up is off. Nothing is bought unless you buy it.")
        return redirect("buy_credits")
    given = {name: request.POST.get(name, "").strip() for name in ("pack", "threshold", "cap")}
    try:
        top_up_settings.switch_on(
            caller.organization,
            pack_slug=given["pack"],
            threshold_micro=_whole(given["threshold"], MICRO, "threshold"),
            monthly_cap_cents=_whole(given["cap"], 100, "cap"),
            user=caller.user,
            now=now,
        )
    except ApiError as error:
        return _page(request, caller, {"top_up_error": error, "given": given}, status=error.status)
    messages.success(request, "Automatic top-up is on.")
    return redirect("buy_credits")


@require_POST
@member("billing")
def forget_card(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Let the provider forget the kept card; automatic top-up ends with it."""
    try:
        top_up_settings.forget_card(caller.organization, user=caller.user, now=timezone.now())
    except ApiError as error:
        return _page(request, caller, {"top_up_error": error}, status=error.status)
    messages.success(request, "The card is forgotten, and automatic top-up is off.")
    return redirect("buy_credits")


def live_parts(organization: Organization, payments: list[UUID]) -> tuple[dict[str, str], bool]:
    """The parts of the page that move, by event name, and whether the named payments have all ended."""
    now = timezone.now()
    named = Payment.objects.filter(organization=organization, pk__in=payments)
    parts = {
        "purchases": render_to_string("billing/parts/purchases.html", _history(organization.pk, None, now)),
        "credits": render_to_string("billing/parts/credits_now.html", _balances(organization.pk)),
    }
    return parts, not any(_followed(payment, now) for payment in named)


def _page(request: HttpRequest, caller: Caller, more: dict, status: int = 200) -> HttpResponse:
    organization_id, now = caller.organization.pk, timezone.now()
    provider = active_name()
    page = {
        "packs": buying.packs(now),
        "key": uuid.uuid4().hex,
        "off": provider == OFF,
        "sandbox": provider == SANDBOX,
        "came_back": _came_back(request, organization_id, now),
        **_balances(organization_id),
        **_top_up(organization_id, provider, now, more.get("given")),
        **_history(organization_id, _after(request, organization_id), now),
        **more,
    }
    return render(request, "billing/credits.html", page, status=status)


def _came_back(request: HttpRequest, organization_id: int, now: datetime) -> Payment | None:
    """The purchase that this person comes back from, with `moves`: whether the provider's word is still to come."""
    bought = request.GET.get("bought", "")
    if not bought:
        return None
    mine = Payment.objects.filter(organization_id=organization_id, idempotency_key=PAGE_KEY + bought)
    payment = mine.first()
    if payment is not None:
        payment.moves = _moves(payment, now)
    return payment


def _balances(organization_id: int) -> dict:
    owed = Account.objects.filter(organization_id=organization_id, kind=Account.Kind.RECEIVABLE)
    amount = owed.values_list("balance", flat=True).first() or 0
    return {"balances": statement.balances(organization_id), "owed_micro": -amount}


def _top_up(organization_id: int, provider: str, now: datetime, given: dict | None) -> dict:
    settings = AutoTopUp.objects.filter(pk=organization_id).first()
    shown = given or {
        "pack": settings.pack_slug if settings else "",
        "threshold": f"{settings.threshold_micro // MICRO}" if settings else "100",
        "cap": f"{settings.monthly_cap_cents // 100}" if settings else "100",
    }
    return {
        "top_up": settings,
        "shown": shown,
        "card": buying.kept_card(organization_id, provider),
        "month_cents": topping_up.spent_this_month_cents(organization_id, now) if settings else 0,
        "most_failures": outcomes.MOST_FAILURES,
    }


def _history(organization_id: int, after: Payment | None, now: datetime) -> dict:
    found = buying.purchases_of(organization_id)
    if after is not None:
        found = buying.older_than(found, after)
    page = list(found[: SHOWN + 1])
    for payment in page:
        payment.role, payment.icon = LOOKS[payment.state]
        payment.can_be_paid = _moves(payment, now) and bool(payment.checkout_url)
    moving = [payment for payment in page if _followed(payment, now)]
    older = page[SHOWN - 1].pk if len(page) > SHOWN else None
    return {"purchases": page[:SHOWN], "older": older, "paged": after is not None, "moving": moving}


def _moves(payment: Payment, now: datetime) -> bool:
    """Whether its state may still change by itself: it is under way, or declined at a checkout that is still open."""
    if payment.state not in (State.CREATED, State.PENDING, State.FAILED):
        return False
    if payment.expires_at is not None:
        return now < payment.expires_at
    return payment.state != State.FAILED and now < payment.created_at + buying.CHECKOUT_LASTS


def _followed(payment: Payment, now: datetime) -> bool:
    """Whether the page looks at it again: its receipt is told of apart from the payment, mostly within a second."""
    awaits_receipt = payment.state == State.PAID and not payment.receipt_url
    return _moves(payment, now) or (awaits_receipt and now < payment.paid_at + RECEIPT_WITHIN)


def _after(request: HttpRequest, organization_id: int) -> Payment | None:
    given = request.GET.get("after", "")
    if not given:
        return None
    try:
        wanted = UUID(given)
    except ValueError:
        wanted = None
    last = Payment.objects.filter(organization_id=organization_id, pk=wanted).first()
    if last is None:
        raise ApiError("invalid_value", "`after` is the id of one of your purchases.", param="after")
    return last


def _whole(text: str, factor: int, param: str) -> int:
    """A number that a person typed, times `factor`, as an integer. Raises `ApiError`."""
    try:
        number = Decimal(text.replace(",", "").lstrip("$"))
        if not number.is_finite() or abs(number) > 10**12:
            raise InvalidOperation
    except InvalidOperation:
        unit = "credits" if param == "threshold" else "dollars"
        message = f"{text!r} is not a number of {unit}. Nothing was changed."
        raise ApiError("invalid_value", message, param=param) from None
    return int(number * factor)

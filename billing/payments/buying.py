"""From "I want this pack" to a checkout page: one payment per key, whatever crashes or comes twice in between."""

import hashlib
import json
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from accounts import operations
from accounts.errors import ApiError
from accounts.models import Organization, User
from billing.models import CreditPack, Payment, PaymentCustomer
from billing.payments.provider import (
    Body,
    Provider,
    ProviderRefused,
    ProviderUnavailable,
    Returns,
    active,
    unavailable,
)

State = Payment.State
CHECKOUT_LASTS = timedelta(hours=1)
# Stripe takes no checkout that ends within half an hour: one that could not be opened until then is given up.
OPENED_WITHIN = timedelta(minutes=25)
SHOWN = 50


def packs(now: datetime) -> list[CreditPack]:
    """What is on sale, smallest first: of each pack the newest row in force, unless it withdraws the pack."""
    newest = CreditPack.objects.filter(effective_from__lte=now).order_by("slug", "-effective_from")
    offered = [pack for pack in newest.distinct("slug") if pack.on_sale]
    return sorted(offered, key=lambda pack: (pack.amount_cents, pack.slug))


def find_pack(slug: str, now: datetime) -> CreditPack:
    """The pack on sale under this name. Raises `ApiError` invalid_value with the names there are."""
    offered = packs(now)
    for pack in offered:
        if pack.slug == slug:
            return pack
    names = ", ".join(pack.slug for pack in offered) or "none"
    message = f"There is no pack {slug!r}. On sale: {names}. Nothing was bought."
    raise ApiError("invalid_value", message, param="pack")


def start(
    organization: Organization,
    pack_slug: str,
    *,
    user: User | None,
    idempotency_key: str,
    keep_card: bool,
    returns: Returns,
    now: datetime,
) -> Payment:
    """A payment with its checkout page, `payment.checkout_url`; the same one for the same key.

    `keep_card` asks the payer's card to be kept for automatic top-up. Raises `ApiError`: invalid_value,
    idempotency_key_reused, not_ready, payment_provider_unavailable. Nothing is charged before the payer pays there.
    """
    provider = active()
    payment = _written(organization, pack_slug, user, idempotency_key, keep_card, provider.name, now)
    if payment.provider_id or payment.state != State.CREATED:
        return payment
    if now > payment.created_at + OPENED_WITHIN:
        message = (
            "The checkout of this purchase was never opened. Nothing was charged; start again with a new key."
        )
        raise ApiError("not_ready", message)
    try:
        customer = customer_for(organization, provider)
        session = provider.open_checkout(
            payment, customer_id=customer.provider_id, keep_card=keep_card, returns=returns
        )
    except (ProviderUnavailable, ProviderRefused) as problem:
        raise told_to_operators(problem, payment) from problem
    return _opened(payment, session)


def returns_to(site: str, bought: str = "") -> Returns:
    """Back to the credits page; `site` is this installation's absolute address.

    `bought` is what the page calls its purchase, so that it can say what became of it.
    """
    page = site + reverse("buy_credits")
    return Returns(f"{page}?{urlencode({'bought': bought})}" if bought else page, page, site)


def customer_for(organization: Organization, provider: Provider) -> PaymentCustomer:
    """How the provider knows the organization; made there at the first purchase."""
    ours = PaymentCustomer.objects.filter(organization=organization, provider=provider.name)
    if customer := ours.first():
        return customer
    fresh = PaymentCustomer(
        organization=organization,
        provider=provider.name,
        provider_id=provider.create_customer(organization),
    )
    PaymentCustomer.objects.bulk_create([fresh], ignore_conflicts=True)
    return ours.get()


def kept_card(organization_id: int, provider_name: str) -> PaymentCustomer | None:
    """The customer row with the card that may be charged without the payer, if one is kept."""
    customers = PaymentCustomer.objects.filter(organization_id=organization_id, provider=provider_name)
    return customers.exclude(method_id="").first()


def purchases_of(organization_id: int) -> QuerySet[Payment]:
    """The organization's payments, newest first, each with its pack, buyer and refunds."""
    mine = Payment.objects.filter(organization_id=organization_id)
    related = mine.select_related("pack", "created_by").prefetch_related("refunds")
    return related.order_by("-created_at", "-pk")


def older_than(found: QuerySet[Payment], last: Payment) -> QuerySet[Payment]:
    """The page after `last`, in the order of `purchases_of`."""
    older = Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
    return found.filter(older)


def told_to_operators(problem: Exception, payment: Payment) -> ApiError:
    """The caller's error; that the provider refused our own request is for operators to look at."""
    if isinstance(problem, ProviderRefused):
        detail = {"problem": str(problem)[:500], "provider": payment.provider}
        operations.report("payment.refused", "error", f"payment:{payment.pk}", detail)
    return unavailable(problem)


def request_hash(asked: dict) -> str:
    """sha256, in hex, of what was asked for under an idempotency key."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _written(
    organization: Organization,
    pack_slug: str,
    user: User | None,
    idempotency_key: str,
    keep_card: bool,
    provider_name: str,
    now: datetime,
) -> Payment:
    """The payment's row, written and committed before the provider hears of it."""
    if not 0 < len(idempotency_key) <= 190:
        message = "The idempotency key must have 1 to 190 characters. Nothing was bought."
        raise ApiError("invalid_value", message, param="Idempotency-Key")
    digest = request_hash({"pack": pack_slug, "keep_card": keep_card})
    known = Payment.objects.filter(organization=organization, idempotency_key=idempotency_key)
    known = known.select_related("pack")
    if first := known.first():
        return _same(first, digest)
    pack = find_pack(pack_slug, now)
    try:
        with transaction.atomic():
            return Payment.objects.create(
                organization=organization,
                provider=provider_name,
                pack=pack,
                credits_micro=pack.credits_micro,
                amount_cents=pack.amount_cents,
                currency=pack.currency,
                idempotency_key=idempotency_key,
                request_hash=digest,
                created_by=user,
                created_at=now,
                expires_at=now + CHECKOUT_LASTS,
            )
    except IntegrityError:
        # The same key came twice at once: the other one was first.
        first = known.first()
        if first is None:
            raise
        return _same(first, digest)


def _same(first: Payment, digest: str) -> Payment:
    if first.request_hash != digest:
        message = "This key was used for another purchase. Nothing was bought; use a new key for a new one."
        raise ApiError("idempotency_key_reused", message)
    return first


@transaction.atomic
def _opened(payment: Payment, session: Body) -> Payment:
    """Keep where the checkout is. The webhook of a quick payer may have been here first."""
    current = Payment.objects.select_for_update(of=("self",)).select_related("pack").get(pk=payment.pk)
    current.provider_id = current.provider_id or str(session["id"])
    current.checkout_url = str(session["url"])
    fields = ["provider_id", "checkout_url"]
    if current.state == State.CREATED:
        current.state = State.PENDING
        fields.append("state")
    current.save(update_fields=fields)
    return current

"""/api/purchases: buying credits with a key; and the address that the payment provider tells its events to."""

import uuid
from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict

from accounts.api.once import idempotency_key
from accounts.errors import ApiError
from billing.models import CreditPack, Payment, Refund
from billing.payments import buying, webhooks
from billing.payments.provider import Returns

router = Router(tags=["purchases"])
webhook_router = Router(tags=["webhooks"], auth=None)  # the signature is the caller's proof

MOST = 100


class PurchaseIn(Schema):
    """What to buy. `success_url` and `cancel_url`: where the payer goes from the checkout page, ours if not given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pack: str
    keep_card: bool = False
    success_url: str | None = None
    cancel_url: str | None = None


class RefundOut(Schema):
    id: int
    state: str
    credits_micro: int
    amount_cents: int
    created_at: datetime


class PurchaseOut(Schema):
    """A payment. Money is cents of `currency`, credits are micro-credits; `checkout_url` is where it is paid."""

    id: UUID
    object: str = "purchase"
    state: str
    purpose: str
    provider: str
    pack: str
    credits_micro: int
    amount_cents: int
    currency: str
    created_at: datetime
    expires_at: datetime | None
    paid_at: datetime | None
    checkout_url: str | None
    receipt_url: str | None
    invoice_url: str | None
    failure_code: str | None
    failure_message: str | None
    refunds: list[RefundOut]


class PurchasesOut(Schema):
    """Newest first; the next page is asked for with `after=last_id`."""

    object: str = "list"
    data: list[PurchaseOut]
    has_more: bool
    last_id: UUID | None


class PackOut(Schema):
    """A pack on sale."""

    slug: str
    name: str
    credits_micro: int
    amount_cents: int
    currency: str


class PacksOut(Schema):
    object: str = "list"
    data: list[PackOut]


@router.get("/credit-packs", response=PacksOut, summary="What can be bought")
def list_packs(request: HttpRequest) -> dict:
    return {"data": [_pack_out(pack) for pack in buying.packs(timezone.now())]}


@router.post("/purchases", response={201: PurchaseOut}, summary="Buy a pack: a checkout page for it")
def create_purchase(request: HttpRequest, asked: PurchaseIn) -> Status:
    """Nothing is charged before the payer pays on `checkout_url`. The same Idempotency-Key is the same purchase."""
    caller = request.caller
    ours = buying.returns_to(request.build_absolute_uri("/").rstrip("/"))
    returns = Returns(
        _address(asked.success_url, "success_url") or ours.success,
        _address(asked.cancel_url, "cancel_url") or ours.cancel,
        ours.site,
    )
    payment = buying.start(
        caller.organization,
        asked.pack,
        user=caller.user,
        idempotency_key=idempotency_key(request) or uuid.uuid4().hex,
        keep_card=asked.keep_card,
        returns=returns,
        now=timezone.now(),
    )
    return Status(201, purchase_out(request, _mine(request, payment.pk)))


@router.get("/purchases", response=PurchasesOut, summary="What was bought")
def list_purchases(
    request: HttpRequest, limit: int = Query(20, ge=1, le=MOST), after: UUID | None = None
) -> dict:
    found = buying.purchases_of(request.caller.organization.pk)
    if after is not None:
        found = buying.older_than(found, _mine(request, after, "after"))
    page = list(found[: limit + 1])
    shown = page[:limit]
    return {
        "data": [purchase_out(request, payment) for payment in shown],
        "has_more": len(page) > limit,
        "last_id": shown[-1].pk if shown else None,
    }


@router.get("/purchases/{purchase_id}", response=PurchaseOut, summary="One purchase")
def read_purchase(request: HttpRequest, purchase_id: UUID) -> dict:
    return purchase_out(request, _mine(request, purchase_id))


@webhook_router.post("/payments/{provider}/webhook", include_in_schema=False)
def webhook(request: HttpRequest, provider: str) -> HttpResponse:
    """An event of the provider. Any answer but 200 makes it send the event again."""
    webhooks.receive(provider, request.body, request.headers.get("Stripe-Signature"), timezone.now())
    return HttpResponse(status=200)


def purchase_out(request: HttpRequest, payment: Payment) -> dict:
    """The public form of a payment; addresses are absolute."""
    same = ("id", "state", "purpose", "provider", "credits_micro", "amount_cents", "currency")
    times = ("created_at", "expires_at", "paid_at")
    links = ("checkout_url", "receipt_url", "invoice_url")
    return {
        **{name: getattr(payment, name) for name in same + times},
        **{
            name: request.build_absolute_uri(url) if (url := getattr(payment, name)) else None
            for name in links
        },
        "pack": payment.pack.slug,
        "failure_code": payment.failure_code or None,
        "failure_message": payment.failure_message or None,
        "refunds": [_refund_out(refund) for refund in payment.refunds.all()],
    }


def _refund_out(refund: Refund) -> dict:
    same = ("id", "state", "credits_micro", "amount_cents", "created_at")
    return {name: getattr(refund, name) for name in same}


def _pack_out(pack: CreditPack) -> dict:
    same = ("slug", "name", "credits_micro", "amount_cents", "currency")
    return {name: getattr(pack, name) for name in same}


def _mine(request: HttpRequest, purchase_id: UUID, param: str = "purchase_id") -> Payment:
    """The caller's purchase. Another's is not found, and as a cursor it is an invalid value."""
    found = buying.purchases_of(request.caller.organization.pk).filter(pk=purchase_id).first()
    if found is None:
        code = "invalid_value" if param == "after" else "not_found"
        raise ApiError(code, "There is no such purchase in this organization.", param=param)
    return found


def _address(url: str | None, param: str) -> str | None:
    """An address to send the payer to: http or https, and short enough for any provider."""
    if url is None:
        return None
    if not url.startswith(("https://", "http://")) or len(url) > 2000 or any(c.isspace() for c in url):
        message = (
            f"`{param}` must be an absolute http(s) address of at most 2,000 characters. Nothing was bought."
        )
        raise ApiError("invalid_value", message, param=param)
    return url

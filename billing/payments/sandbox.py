"""The sandbox provider: takes no money, keeps its own objects, and tells of them by signed events like Stripe does.

It stands for somebody else's company: it knows nothing of wallets, and what it tells goes through the same webhook
handlers (sandbox_delivery.py). Its checkout page is sandbox_pages.py; what its cards do is sandbox_cards.py.
"""

import json
import secrets
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization
from billing.models import Payment, PaymentCustomer, Refund, SandboxEvent, SandboxObject
from billing.payments import sandbox_cards, shapes, signing
from billing.payments.provider import SANDBOX, Body, ProviderRefused, Returns
from billing.payments.sandbox_cards import SandboxCard

DISPUTED_AFTER = timedelta(seconds=30)


class Sandbox:
    """The provider's side of the calls that Backlot makes."""

    name = SANDBOX

    def create_customer(self, organization: Organization) -> str:
        body = {"metadata": {"backlot_organization": organization.slug}}
        return make("customer", body, f"customer-{organization.pk}").pk

    def open_checkout(self, payment: Payment, *, customer_id: str, keep_card: bool, returns: Returns) -> Body:
        metadata = {shapes.PAYMENT: str(payment.pk)} | ({shapes.KEEP_CARD: "yes"} if keep_card else {})
        session = make(
            "checkout.session",
            {
                "status": "open",
                "payment_status": "unpaid",
                "amount_total": payment.amount_cents,
                "currency": payment.currency,
                "customer": customer_id,
                "payment_intent": None,
                "invoice": None,
                "metadata": metadata,
                "description": payment.pack.name,
                "success_url": returns.success,
                "cancel_url": returns.cancel,
                "expires_at": int(payment.expires_at.timestamp()),
            },
            f"checkout-{payment.pk}",
        )
        if not session.body.get("url"):
            change(session, url=returns.site + reverse("sandbox_checkout", args=[session.pk]))
        return session.body

    def read_checkout(self, session_id: str) -> Body:
        session = dict(kept("checkout.session", session_id).body)
        for name in ("payment_intent", "invoice"):
            if session[name]:
                session[name] = _whole(SandboxObject.objects.get(pk=session[name]).body)
        return session

    @transaction.atomic
    def charge_kept_card(self, payment: Payment, customer: PaymentCustomer) -> Body:
        asked = _charge_asked(payment, customer)
        intent = kept("payment_intent", make("payment_intent", asked, f"charge-{payment.pk}").pk, lock=True)
        if intent.body["status"] != "processing":  # asked before
            return _whole(intent.body)
        card = sandbox_cards.card(kept("payment_method", customer.method_id).body["number"])
        if refused := _off_session_refusal(card):
            refuse(intent, refused)
        else:
            pay(intent, card, customer.method_id)
        return _whole(intent.body)

    def find_charge(self, payment: Payment, customer: PaymentCustomer) -> Body | None:
        first = SandboxObject.objects.filter(idempotency_key=f"charge-{payment.pk}").first()
        return _whole(first.body) if first else None

    def read_intent(self, intent_id: str) -> Body | None:
        found = SandboxObject.objects.filter(pk=intent_id, kind="payment_intent").first()
        return _whole(found.body) if found else None

    @transaction.atomic
    def refund(self, refund: Refund, payment: Payment) -> Body:
        kept("payment_intent", payment.provider_payment_id)
        fields = {
            "payment_intent": payment.provider_payment_id,
            "amount": refund.amount_cents,
            "currency": payment.currency,
            "status": "pending",
            "metadata": {shapes.PAYMENT: str(payment.pk), shapes.REFUND: str(refund.pk)},
        }
        made = kept("refund", make("refund", fields, f"refund-{refund.pk}").pk, lock=True)
        if made.body["status"] == "pending":  # not asked before
            change(made, status="succeeded")
            tell("refund.created", made)
        return made.body

    def read_refund(self, provider_refund_id: str) -> Body:
        return kept("refund", provider_refund_id).body

    def forget_card(self, method_id: str) -> None:
        SandboxObject.objects.filter(pk=method_id, kind="payment_method").delete()

    def read_event(self, body: bytes, signature: str | None) -> Body:
        return signing.verified(body, signature, settings.SANDBOX_WEBHOOK_SECRET)


PREFIXES = {
    "checkout.session": "cs",
    "payment_intent": "pi",
    "payment_method": "pm",
    "charge": "ch",
    "customer": "cus",
    "invoice": "in",
    "refund": "re",
    "dispute": "dp",
}


def make(kind: str, fields: dict, key: str | None = None) -> SandboxObject:
    """A new object, or the one that the same idempotency key made before."""
    identity = f"{PREFIXES[kind]}_sandbox_{secrets.token_hex(12)}"
    now = int(timezone.now().timestamp())
    body = {"id": identity, "object": kind, "created": now, "livemode": False, **fields}
    if key is None:
        return SandboxObject.objects.create(pk=identity, kind=kind, body=body)
    fresh = {"id": identity, "kind": kind, "body": body}
    return SandboxObject.objects.get_or_create(idempotency_key=key, defaults=fresh)[0]


def kept(kind: str, identity: str, *, lock: bool = False) -> SandboxObject:
    """An object by its id. Raises `ProviderRefused`."""
    found = SandboxObject.objects.select_for_update() if lock else SandboxObject.objects
    one = found.filter(pk=identity, kind=kind).first()
    if one is None:
        raise ProviderRefused(f"the sandbox has no {kind} {identity}")
    return one


def moment(body: Body) -> datetime:
    """When an object was made."""
    return datetime.fromtimestamp(body["created"], UTC)


def disputed_at(dispute: Body) -> datetime:
    """When the payer disputes: what was written down before that is not known to anybody yet."""
    return moment(dispute) + DISPUTED_AFTER


def change(one: SandboxObject, **fields: object) -> None:
    one.body |= fields
    one.save(update_fields=["body"])


def tell(event: str, one: SandboxObject, at: datetime | None = None) -> None:
    """Write an event about the object as it is now, to be delivered from `at` on."""
    identity = f"evt_sandbox_{secrets.token_hex(12)}"
    due = at or timezone.now()
    body = {
        "id": identity,
        "object": "event",
        "type": event,
        "created": int(due.timestamp()),
        "livemode": False,
        "data": {"object": one.body},
    }
    SandboxEvent.objects.create(pk=identity, body=json.dumps(body), due_at=due)


def pay(intent: SandboxObject, card: SandboxCard, method_id: str) -> SandboxObject:
    """The money of an intent comes in: its charge, what is told of it and, for one card, the dispute to come."""
    charge = make(
        "charge",
        {
            "amount": intent.body["amount"],
            "currency": intent.body["currency"],
            "customer": intent.body["customer"],
            "description": intent.body["description"],
            "metadata": intent.body["metadata"],
            "paid": True,
            "payment_intent": intent.pk,
            "payment_method": method_id,
            "payment_method_details": {"type": "card", "card": {"brand": card.brand, "last4": card.last4}},
        },
    )
    change(charge, receipt_url=reverse("sandbox_receipt", args=[charge.pk]))
    received = intent.body["amount"]
    change(
        intent, status="succeeded", amount_received=received, latest_charge=charge.pk, last_payment_error=None
    )
    tell("payment_intent.succeeded", intent)
    tell("charge.succeeded", charge)
    if card.behaviour == sandbox_cards.DISPUTED:
        _dispute(intent, charge)
    return charge


def refuse(intent: SandboxObject, code: str) -> None:
    change(intent, status="requires_payment_method", last_payment_error=sandbox_cards.refusal(code))
    tell("payment_intent.payment_failed", intent)


def decide(dispute_id: str, status: str) -> None:
    """End a dispute: "won" (by who sold) or "lost". Decided once."""
    with transaction.atomic():
        dispute = kept("dispute", dispute_id, lock=True)
        if dispute.body["status"] == "needs_response":
            change(dispute, status=status)
            tell("charge.dispute.closed", dispute)


def _dispute(intent: SandboxObject, charge: SandboxObject) -> None:
    fields = {"amount": intent.body["amount"], "currency": intent.body["currency"], "charge": charge.pk}
    fields |= {"payment_intent": intent.pk, "status": "needs_response", "reason": "fraudulent"}
    dispute = make("dispute", fields)
    tell("charge.dispute.created", dispute, timezone.now() + DISPUTED_AFTER)
    change(charge, dispute=dispute.pk)


def _charge_asked(payment: Payment, customer: PaymentCustomer) -> dict:
    return {
        "status": "processing",
        "amount": payment.amount_cents,
        "amount_received": 0,
        "currency": payment.currency,
        "customer": customer.provider_id,
        "description": f"{payment.pack.name}, automatic top-up",
        "metadata": {shapes.PAYMENT: str(payment.pk)},
        "latest_charge": None,
        "last_payment_error": None,
    }


def _off_session_refusal(card: SandboxCard) -> str:
    """Why a charge without the payer is refused; empty where it isn't."""
    refusals = {
        sandbox_cards.DECLINED: "card_declined",
        sandbox_cards.FAILS_LATER: "card_declined",
        sandbox_cards.CONFIRMS: "authentication_required",
    }
    return refusals.get(card.behaviour, "")


def _whole(body: dict) -> dict:
    """An intent with its charge inside."""
    if not body.get("latest_charge"):
        return body
    return {**body, "latest_charge": SandboxObject.objects.get(pk=body["latest_charge"]).body}

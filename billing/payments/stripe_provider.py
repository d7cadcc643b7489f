"""Stripe, through its own library. The API base is a setting, so that the same code runs against a stand-in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import stripe

from accounts.models import Organization
from billing.models import Payment, PaymentCustomer, Refund
from billing.payments import shapes, signing
from billing.payments.provider import STRIPE, Body, ProviderRefused, ProviderUnavailable, Returns

TIMEOUT_S = (4.0, 12.0)  # to connect, to answer
RETRIES = 2
EXPANDED = {"expand": ["payment_intent.latest_charge", "invoice"]}
FOUND_WITHIN = timedelta(minutes=10)  # of a charge's row: how far the provider's clock may be from ours
MOST_SEARCHED = 100

stripe.enable_telemetry = False


class StripeProvider:
    """Stripe with one account's keys. Threads share it."""

    name = STRIPE

    def __init__(self, key: str, base: str, webhook_secret: str) -> None:
        self._secret = webhook_secret
        self._api = stripe.StripeClient(
            key,
            base_addresses={"api": base} if base else None,
            max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        ).v1

    def create_customer(self, organization: Organization) -> str:
        params = {"metadata": {"backlot_organization": organization.slug}, "description": organization.slug}
        key = f"backlot-customer-{organization.pk}-{organization.slug}"
        return shapes.identity(_asked(lambda: self._api.customers.create(params, _once(key))))

    def open_checkout(self, payment: Payment, *, customer_id: str, keep_card: bool, returns: Returns) -> Body:
        params = _checkout(payment, customer_id, keep_card, returns)
        key = _once(f"backlot-checkout-{payment.pk}")
        return _asked(lambda: self._api.checkout.sessions.create(params, key))

    def read_checkout(self, session_id: str) -> Body:
        return _asked(lambda: self._api.checkout.sessions.retrieve(session_id, EXPANDED))

    def charge_kept_card(self, payment: Payment, customer: PaymentCustomer) -> Body:
        params = {
            "amount": payment.amount_cents,
            "currency": payment.currency,
            "customer": customer.provider_id,
            "payment_method": customer.method_id,
            "payment_method_types": ["card"],
            "off_session": True,
            "confirm": True,
            "description": f"{payment.pack.name}, automatic top-up",
            "metadata": {shapes.PAYMENT: str(payment.pk)},
            "expand": ["latest_charge"],
        }
        key = _once(f"backlot-charge-{payment.pk}")
        return _asked(lambda: self._api.payment_intents.create(params, key))

    def find_charge(self, payment: Payment, customer: PaymentCustomer) -> Body | None:
        since = int((payment.created_at - FOUND_WITHIN).timestamp())
        params = {"customer": customer.provider_id, "created": {"gte": since}, "limit": MOST_SEARCHED}
        page = _asked(lambda: self._api.payment_intents.list(params))
        return next((one for one in page["data"] if shapes.payment_named(one) == payment.pk), None)

    def read_intent(self, intent_id: str) -> Body | None:
        try:
            with _translated():
                params = {"expand": ["latest_charge"]}
                return self._api.payment_intents.retrieve(intent_id, params).to_dict(for_json=True)
        except ProviderRefused as refused:
            if _is_missing(refused):
                return None
            raise

    def refund(self, refund: Refund, payment: Payment) -> Body:
        params = {
            "payment_intent": payment.provider_payment_id,
            "amount": refund.amount_cents,
            "reason": "requested_by_customer",
            "metadata": {shapes.PAYMENT: str(payment.pk), shapes.REFUND: str(refund.pk)},
        }
        return _asked(lambda: self._api.refunds.create(params, _once(f"backlot-refund-{refund.pk}")))

    def read_refund(self, provider_refund_id: str) -> Body:
        return _asked(lambda: self._api.refunds.retrieve(provider_refund_id))

    def forget_card(self, method_id: str) -> None:
        try:
            with _translated():
                self._api.payment_methods.detach(method_id)
        except ProviderRefused as refused:
            if not _is_missing(refused):
                raise

    def read_event(self, body: bytes, signature: str | None) -> Body:
        return signing.verified(body, signature, self._secret)


def _checkout(payment: Payment, customer_id: str, keep_card: bool, returns: Returns) -> dict:
    """A session's parameters. They follow from our row, so that asking again with the same key is the same request."""
    metadata = {shapes.PAYMENT: str(payment.pk)} | ({shapes.KEEP_CARD: "yes"} if keep_card else {})
    intent = {"metadata": metadata, "description": payment.pack.name}
    if keep_card:
        intent["setup_future_usage"] = "off_session"
    product = {"name": payment.pack.name}
    price = {"currency": payment.currency, "unit_amount": payment.amount_cents, "product_data": product}
    return {
        "mode": "payment",
        "customer": customer_id,
        "client_reference_id": str(payment.pk),
        "line_items": [{"quantity": 1, "price_data": price}],
        "metadata": metadata,
        "payment_intent_data": intent,
        "invoice_creation": {"enabled": True, "invoice_data": {"metadata": metadata}},
        "success_url": returns.success,
        "cancel_url": returns.cancel,
        "expires_at": int(payment.expires_at.timestamp()),
    }


def _once(key: str) -> dict:
    return {"idempotency_key": key}


def _asked(call: Callable[[], stripe.StripeObject]) -> Body:
    """The answer as plain JSON. A declined card is an answer too: its intent, with the reason inside."""
    try:
        with _translated():
            return call().to_dict(for_json=True)
    except stripe.CardError as declined:
        intent = declined.json_body["error"].get("payment_intent")
        if intent is None:
            raise ProviderRefused(str(declined)) from declined
        return intent


@contextmanager
def _translated() -> Iterator[None]:
    """The library's exceptions as ours: later may help, or it will not."""
    try:
        yield
    except stripe.CardError:
        raise
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError) as refused:
        raise ProviderRefused(str(refused)) from refused
    except stripe.IdempotencyError as other:
        raise ProviderRefused(str(other)) from other
    except stripe.StripeError as problem:
        raise ProviderUnavailable(str(problem)) from problem


def _is_missing(refused: ProviderRefused) -> bool:
    return getattr(refused.__cause__, "code", "") == "resource_missing"

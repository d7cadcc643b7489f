"""Who takes the money: Stripe where there are keys, the sandbox where there are none and nothing real is at stake.

A provider answers in Stripe's shapes (shapes.py). Every call goes over a network or may take as long as one: never
make one inside a database transaction. Every call that changes something carries an idempotency key made from our
row's id, so that it may be made again after a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from django.conf import settings

from accounts.errors import ApiError
from accounts.models import Organization
from billing.models import Payment, PaymentCustomer, Refund

STRIPE, SANDBOX, OFF = "stripe", "sandbox", "off"
Body = Mapping[str, object]


class ProviderUnavailable(Exception):
    """The provider could not be reached or could not answer now. What was asked may or may not have happened."""


class ProviderRefused(Exception):
    """The provider answered that this can't be done; asking again will not help. The message is for operators."""


class BadSignature(Exception):
    """An event that the provider did not sign, or signed too long ago."""


@dataclass(frozen=True)
class Returns:
    """Where a checkout sends the payer afterwards, and this site itself: absolute addresses."""

    success: str
    cancel: str
    site: str


class Provider(Protocol):
    """What both providers can do. Raise `ProviderUnavailable` or `ProviderRefused`."""

    name: str

    def create_customer(self, organization: Organization) -> str:
        """The provider's id of this organization."""

    def open_checkout(self, payment: Payment, *, customer_id: str, keep_card: bool, returns: Returns) -> Body:
        """A checkout session for the payment; the same one when asked again."""

    def read_checkout(self, session_id: str) -> Body:
        """The session as it stands, with intent, charge and invoice inside."""

    def charge_kept_card(self, payment: Payment, customer: PaymentCustomer) -> Body:
        """Charge without the payer: the intent, however it ended; the same one when asked again."""

    def find_charge(self, payment: Payment, customer: PaymentCustomer) -> Body | None:
        """The intent of a charge whose answer never reached us, without charging. None where there is none."""

    def read_intent(self, intent_id: str) -> Body | None:
        """A payment intent with its charge inside; None where the provider knows none of that id."""

    def refund(self, refund: Refund, payment: Payment) -> Body:
        """Pay back; the same refund when asked again."""

    def read_refund(self, provider_refund_id: str) -> Body:
        """A refund as it stands."""

    def forget_card(self, method_id: str) -> None:
        """Forget a kept card; one that is unknown is forgotten already."""

    def read_event(self, body: bytes, signature: str | None) -> Body:
        """A signed event, verified. Raises `BadSignature`."""


def active_name() -> str:
    """stripe, sandbox, or off: what the settings say, Stripe where there is a key, the sandbox only under DEBUG."""
    if settings.PAYMENTS:
        return settings.PAYMENTS
    if settings.STRIPE_SECRET_KEY:
        return STRIPE
    return SANDBOX if settings.DEBUG else OFF


def active() -> Provider:
    """The provider of new payments. Raises `ApiError` not_ready where buying is off."""
    return named(active_name())


def named(name: str) -> Provider:
    """The provider of this name, if it is the one in use. Raises `ApiError` not_ready."""
    if name != active_name() or name == OFF:
        message = "Buying credits is not set up on this installation. Nothing was bought; ask its operator."
        if name != OFF:
            message = f"Payments through {name} are switched off on this installation. Nothing was changed."
        raise ApiError("not_ready", message)
    if name == STRIPE:
        return _stripe(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_WEBHOOK_SECRET)
    from billing.payments.sandbox import Sandbox

    return Sandbox()


@lru_cache(maxsize=4)
def _stripe(key: str, base: str, secret: str) -> Provider:
    """One per set of keys: the library keeps a connection per thread. It is imported where it is used (165 ms)."""
    from billing.payments.stripe_provider import StripeProvider

    return StripeProvider(key, base, secret)


def unavailable(problem: Exception) -> ApiError:
    """What a caller is told when the provider did not do it."""
    if isinstance(problem, ProviderRefused):
        message = "The payment provider refused this. Nothing was charged; the operators have been told."
        return ApiError("payment_refused", message)
    return ApiError(
        "payment_provider_unavailable",
        "The payment provider did not answer. Nothing more is charged if you try again with the same key.",
        retry_after_s=5,
    )

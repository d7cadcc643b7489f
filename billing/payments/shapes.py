"""Reading what a payment provider tells: Stripe's objects as plain JSON, and ours in their metadata.

Pure: the standard library only. The sandbox keeps objects of the same shape, so all of this is read once. Only fields
that have kept their names over Stripe's API versions are read, because the version of a webhook is the account's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

Body = Mapping[str, object]

PAYMENT = "backlot_payment"  # the id of our payment, in the metadata of what belongs to it
REFUND = "backlot_refund"
KEEP_CARD = "backlot_keep_card"

MONEY_KINDS = ("checkout.session", "payment_intent", "charge", "invoice", "refund", "dispute")
WAITS, PAID, FAILED, EXPIRED, NOTHING = "waits", "paid", "failed", "expired", "nothing"


@dataclass(frozen=True)
class Money:
    """What a checkout session or a payment intent says: how far it is, for how much, and why it failed."""

    standing: str
    amount_cents: int
    currency: str
    session_id: str = ""
    intent_id: str = ""
    failure_code: str = ""
    failure_message: str = ""


@dataclass(frozen=True)
class Card:
    """The method of a charge that may be charged again, as the provider knows it and as people do."""

    customer_id: str
    method_id: str
    label: str
    at: datetime


@dataclass(frozen=True)
class Returned:
    """A refund at the provider."""

    id: str
    standing: str  # waits, paid (back) or failed
    amount_cents: int
    intent_id: str
    ours: str  # the number of our refund, where it was us who asked


@dataclass(frozen=True)
class Dispute:
    """A payer's claim for their money."""

    id: str
    intent_id: str
    standing: str  # opened, won, lost, or an inquiry that moves nothing
    reason: str


def kind(body: Body) -> str:
    return str(body.get("object") or "")


def identity(value: object) -> str:
    """The id of something that is named by its id or expanded in place; empty where there is none."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return str(value or "")


def moment(seconds: object) -> datetime | None:
    """Unix seconds as a moment."""
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None


def payment_named(body: Body) -> UUID | None:
    """The payment of ours that the object's metadata names, if it does."""
    named = _metadata(body).get(PAYMENT) or body.get("client_reference_id")
    try:
        return UUID(str(named)) if named else None
    except ValueError:
        return None


def intent_of(body: Body) -> str:
    """The payment intent that an object is or belongs to."""
    return identity(body) if kind(body) == "payment_intent" else identity(body.get("payment_intent"))


def parts(body: Body) -> Iterator[Body]:
    """The object and what is expanded inside it that we read too: intent, charge, invoice."""
    yield body
    for name in ("payment_intent", "latest_charge", "invoice"):
        inner = body.get(name)
        if isinstance(inner, Mapping):
            yield from parts(inner)


def session(body: Body, event: str = "") -> Money:
    """A checkout session. `event` is the name of the event that brought it, which alone tells a late failure."""
    if body.get("payment_status") in ("paid", "no_payment_required"):
        standing = PAID
    elif body.get("status") == "expired":
        standing = EXPIRED
    else:
        standing = FAILED if event == "checkout.session.async_payment_failed" else WAITS
    return Money(
        standing=standing,
        amount_cents=int(body.get("amount_total") or 0),
        currency=str(body.get("currency") or ""),
        session_id=identity(body),
        intent_id=identity(body.get("payment_intent")),
    )


def intent(body: Body) -> Money:
    """A payment intent. One that waits for another method after a refusal has failed, until it is tried again."""
    status, error = body.get("status"), body.get("last_payment_error")
    standing, code, message = WAITS, "", ""
    if status == "succeeded":
        standing = PAID
    elif status == "canceled":
        standing, message = EXPIRED, "The payment was cancelled."
    elif status == "requires_payment_method" and isinstance(error, Mapping):
        standing = FAILED
        code = str(error.get("decline_code") or error.get("code") or "")
        message = str(error.get("message") or "The card was declined.")
    amount = body.get("amount_received") if standing == PAID else body.get("amount")
    return Money(
        standing=standing,
        amount_cents=int(amount or 0),
        currency=str(body.get("currency") or ""),
        intent_id=identity(body),
        failure_code=code[:80],
        failure_message=message[:500],
    )


def kept_card(body: Body) -> Card | None:
    """The card of a paid charge whose payer agreed to have it kept."""
    customer_id, method_id = identity(body.get("customer")), identity(body.get("payment_method"))
    at = moment(body.get("created"))
    if not (body.get("paid") and _metadata(body).get(KEEP_CARD) and customer_id and method_id and at):
        return None
    details = body.get("payment_method_details")
    card = details.get("card") if isinstance(details, Mapping) else None
    return Card(customer_id, method_id, card_label(card if isinstance(card, Mapping) else {}), at)


def card_label(card: Body) -> str:
    """A card as people know it: "Visa ending in 4242"."""
    brand, last = str(card.get("brand") or "Card").capitalize(), str(card.get("last4") or "")
    return f"{brand} ending in {last}"[:80] if last else brand[:80]


def links(body: Body) -> dict[str, str]:
    """The receipt of a charge, the page of an invoice."""
    if kind(body) == "charge" and body.get("receipt_url"):
        return {"receipt_url": str(body["receipt_url"])}
    if kind(body) == "invoice" and body.get("hosted_invoice_url"):
        return {"invoice_url": str(body["hosted_invoice_url"])}
    return {}


def refund(body: Body) -> Returned:
    standing = {"succeeded": PAID, "failed": FAILED, "canceled": FAILED}.get(str(body.get("status")), WAITS)
    return Returned(
        id=identity(body),
        standing=standing,
        amount_cents=int(body.get("amount") or 0),
        intent_id=identity(body.get("payment_intent")),
        ours=str(_metadata(body).get(REFUND) or ""),
    )


def dispute(body: Body) -> Dispute:
    status = str(body.get("status") or "")
    opened = {"needs_response": "opened", "under_review": "opened", "won": "won", "lost": "lost"}
    return Dispute(
        id=identity(body),
        intent_id=identity(body.get("payment_intent")),
        standing=opened.get(status, NOTHING),
        reason=str(body.get("reason") or ""),
    )


def _metadata(body: Body) -> Body:
    found = body.get("metadata")
    return found if isinstance(found, Mapping) else {}

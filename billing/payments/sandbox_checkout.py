"""What happens on the sandbox's checkout page: a card is tried, a bank asks back, the session is paid or given up."""

from datetime import datetime

from django.db import transaction

from billing.models import SandboxObject
from billing.payments import sandbox, sandbox_cards
from billing.payments.sandbox_cards import SandboxCard

OPEN, CONFIRM, DECLINED, PAID, OVER = "open", "confirm", "declined", "paid", "over"


@transaction.atomic
def try_card(session_id: str, card: SandboxCard) -> str:
    """Pay with a card; where that leads: paid, declined, confirm (a second page), or over (expired)."""
    session = sandbox.kept("checkout.session", session_id, lock=True)
    if session.body["status"] != OPEN:
        return PAID if session.body["payment_status"] == PAID else OVER
    intent = _intent(session)
    if card.behaviour == sandbox_cards.DECLINED:
        sandbox.refuse(intent, "card_declined")
        return DECLINED
    if card.behaviour == sandbox_cards.CONFIRMS:
        sandbox.change(intent, status="requires_action", card=card.number)
        return CONFIRM
    _complete(session, intent, card)
    return PAID


@transaction.atomic
def confirm(session_id: str, agreed: bool) -> str:
    """The answer on the bank's page."""
    session = sandbox.kept("checkout.session", session_id, lock=True)
    if session.body["status"] != OPEN:
        return PAID if session.body["payment_status"] == PAID else OVER
    intent = _intent(session)
    card = sandbox_cards.card(intent.body.get("card", ""))
    if intent.body["status"] != "requires_action" or card is None:
        return OPEN
    if not agreed:
        sandbox.refuse(intent, "payment_intent_authentication_failure")
        return DECLINED
    _complete(session, intent, card)
    return PAID


def expire(limit: int, now: datetime) -> int:
    """Close sessions that nobody paid in time, and tell of it."""
    late = SandboxObject.objects.filter(
        kind="checkout.session", body__status=OPEN, body__expires_at__lte=int(now.timestamp())
    )
    return sum(_expire(one) for one in late.values_list("pk", flat=True)[:limit])


@transaction.atomic
def _expire(session_id: str) -> bool:
    session = sandbox.kept("checkout.session", session_id, lock=True)
    if session.body["status"] != OPEN:
        return False
    sandbox.change(session, status="expired")
    sandbox.tell("checkout.session.expired", session)
    return True


def _intent(session: SandboxObject) -> SandboxObject:
    """The session's intent, made at the first try and kept for the next ones."""
    if session.body["payment_intent"]:
        return sandbox.kept("payment_intent", session.body["payment_intent"], lock=True)
    body = session.body
    intent = sandbox.make(
        "payment_intent",
        {
            "status": "requires_payment_method",
            "amount": body["amount_total"],
            "amount_received": 0,
            "currency": body["currency"],
            "customer": body["customer"],
            "description": body["description"],
            "metadata": body["metadata"],
            "latest_charge": None,
            "last_payment_error": None,
        },
    )
    sandbox.change(session, payment_intent=intent.pk)
    return intent


def _complete(session: SandboxObject, intent: SandboxObject, card: SandboxCard) -> None:
    """Paid: intent, charge, invoice and session, in the order in which Stripe tells of them."""
    method = sandbox.make("payment_method", {"number": card.number, "customer": session.body["customer"]})
    charge = sandbox.pay(intent, card, method.pk)
    invoice = sandbox.make(
        "invoice",
        {
            "status": "paid",
            "amount_paid": intent.body["amount"],
            "currency": intent.body["currency"],
            "description": session.body["description"],
            "metadata": session.body["metadata"],
            "hosted_invoice_url": charge.body["receipt_url"] + "?as=invoice",
        },
    )
    sandbox.change(session, status="complete", payment_status=PAID, invoice=invoice.pk)
    sandbox.tell("invoice.paid", invoice)
    sandbox.tell("checkout.session.completed", session)

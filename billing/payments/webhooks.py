"""Events of a provider: verified, noted once however often they come, and applied in one database transaction.

An event that can't be taken now (the provider must be asked about it first and does not answer) raises, so that the
provider sends it again; one that is not about us is noted and answered like any other.
"""

import hashlib
from datetime import datetime

from django.db import connection, transaction

from accounts.errors import ApiError
from billing.models import Payment, PaymentEvent
from billing.payments import application, shapes
from billing.payments.provider import (
    BadSignature,
    Body,
    Provider,
    ProviderRefused,
    ProviderUnavailable,
    named,
    unavailable,
)

Outcome = PaymentEvent.Outcome

NOTE = """
INSERT INTO billing_paymentevent
  (provider, provider_event_id, kind, payload_digest, told_at, deliveries, outcome, detail)
VALUES (%s, %s, %s, %s, %s, 1, 'received', '{}')
ON CONFLICT (provider, provider_event_id) DO UPDATE SET deliveries = billing_paymentevent.deliveries + 1
RETURNING id
"""


def receive(provider_name: str, body: bytes, signature: str | None, at: datetime) -> PaymentEvent:
    """Take one delivery. The same event again changes nothing but the count of its deliveries.

    Raises `ApiError`: not_ready for a provider that is not in use, invalid_value for a signature that is not its own,
    payment_provider_unavailable where it must be asked and does not answer.
    """
    provider = named(provider_name)
    try:
        event = provider.read_event(body, signature)
    except BadSignature as problem:
        raise ApiError("invalid_value", f"Not taken: {problem}", param="Stripe-Signature") from problem
    told = event["data"].get("object")
    told = told if isinstance(told, dict) else {}
    intent = None
    if not _was_judged(provider_name, event):
        try:
            intent = _unknown_intent(provider, told)
        except (ProviderUnavailable, ProviderRefused) as problem:
            raise unavailable(problem) from problem
    return _take(provider_name, event, told, intent, hashlib.sha256(body).hexdigest(), at)


def _was_judged(provider_name: str, event: Body) -> bool:
    known = PaymentEvent.objects.filter(provider=provider_name, provider_event_id=event["id"])
    return known.exclude(outcome=Outcome.RECEIVED).exists()


def _unknown_intent(provider: Provider, told: Body) -> Body | None:
    """The intent behind a dispute or refund that came before we heard that it was paid. The provider is asked.

    Nothing on a dispute says whose it is: it may be another system's on the same account.
    """
    if shapes.kind(told) not in ("dispute", "refund") or not shapes.intent_of(told):
        return None
    payment = application.find(provider.name, told)
    if payment is not None and payment.state not in application.UNPAID:
        return None
    return provider.read_intent(shapes.intent_of(told))


@transaction.atomic
def _take(
    provider_name: str, event: Body, told: Body, intent: Body | None, digest: str, at: datetime
) -> PaymentEvent:
    kind = str(event.get("type") or "")
    row = _noted(provider_name, str(event["id"]), kind, digest, shapes.moment(event.get("created")))
    if row.outcome != Outcome.RECEIVED:
        return row
    payment = application.find(provider_name, intent or told)
    if payment is None:
        row.outcome = Outcome.FOREIGN
    else:
        if intent is not None:
            application.apply_all(payment.pk, intent, at=at)
        row.payment = Payment(pk=payment.pk)
        row.outcome, row.detail = application.apply(payment.pk, told, event=kind, at=at)
    row.save(update_fields=["payment", "outcome", "detail"])
    return row


def _noted(
    provider_name: str, event_id: str, kind: str, digest: str, told_at: datetime | None
) -> PaymentEvent:
    """The event's row, locked: another delivery at the same time waits here until this one is done."""
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [provider_name, event_id[:200], kind[:80], digest, told_at])
        (row_id,) = cursor.fetchone()
    return PaymentEvent.objects.get(pk=row_id)

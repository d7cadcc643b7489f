"""What the hammer's organizations are made of, and the events that the sandbox provider would send them."""

import json
import time
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.utils import timezone

from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import Enrollment, Organization, TierTerms, User
from billing import ledger
from billing.models import CreditPack, Payment, PaymentEvent, PromotionCode
from billing.payments import shapes, signing, webhooks

CREDIT = 1_000_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ROOMY = {"requests_per_minute": 10**8, "requests_per_minute_key": 10**8, "max_open": 10**6}


def organization(slug: str, credits: int = 10_000) -> Organization:
    """A customer with a balance, on terms that refuse for want of credits alone."""
    made = Organization.objects.create(slug=slug, name=slug)
    Enrollment.objects.create(
        organization=made, tier_id="free", effective_from=BEGAN, author="hammer", reason="a test"
    )
    grant = {"bucket": "purchased", "idempotency_key": "opening", "reason": "a test"}
    ledger.grant(made.pk, credits * CREDIT, **grant)
    return made


def terms_of(made: Organization) -> TierTerms:
    from accounts.tiers import terms_for

    terms = terms_for(made.pk, timezone.now())
    for name, value in {**ROOMY, "units_in_flight_micro": 10**15}.items():
        setattr(terms, name, value)
    return terms


def code(name: str) -> PromotionCode:
    return PromotionCode.objects.create(
        code=name,
        credits_micro=3 * CREDIT,
        credits_last_days=3,
        max_redemptions=10,
        valid_from=BEGAN,
        valid_until=timezone.now() + timedelta(days=30),
        author="hammer",
        reason="a test",
    )


def caller_of(made: Organization) -> Caller:
    user = User.objects.get_or_create(email="hammer@example.com")[0]
    return Caller(made, user, None, ROLE_SCOPES["owner"])


def payment_id(key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"hammer:{key}")


def payment(made: Organization, key: str) -> Payment:
    """A purchase whose checkout was opened; the same one for the same key."""
    pack = CreditPack.objects.filter(slug="starter").earliest("effective_from")
    figures = {name: getattr(pack, name) for name in ("credits_micro", "amount_cents", "currency")}
    row = {"organization": made, "provider": "sandbox", "pack": pack, "idempotency_key": key, **figures}
    return Payment.objects.get_or_create(id=payment_id(key), defaults={**row, "request_hash": "x"})[0]


def hear(event: str, kind: str, body: dict) -> PaymentEvent:
    """One delivery of a signed event; `event` is its id."""
    told = {"id": f"evt_{event}", "object": "event", "type": kind, "created": int(time.time())}
    text = json.dumps({**told, "data": {"object": body}})
    signature = signing.signed(text, settings.SANDBOX_WEBHOOK_SECRET)
    return webhooks.receive("sandbox", text.encode(), signature, timezone.now())


def intent_paid(bought: Payment) -> dict:
    amount = {"amount": bought.amount_cents, "amount_received": bought.amount_cents}
    return {
        "id": f"pi_{bought.pk.hex}",
        "object": "payment_intent",
        "status": "succeeded",
        "currency": bought.currency,
        "metadata": {shapes.PAYMENT: str(bought.pk)},
        **amount,
    }


def dispute_of(bought: Payment, status: str) -> dict:
    body = {"id": f"dp_{bought.pk.hex}", "object": "dispute", "status": status, "reason": "fraudulent"}
    return {**body, "payment_intent": f"pi_{bought.pk.hex}", "metadata": {}}

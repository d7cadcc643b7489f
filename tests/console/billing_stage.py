"""Billing admins, and an organization with work that was charged, for the pages of the Billing room."""

import itertools
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import organizations, staff, tiers
from accounts.models import Organization, StaffRole, User
from billing import access, ledger, purchases
from billing.models import Charge, CreditPack, Decision, Payment
from billing.settlement import settle
from tests.console.people import signed_in, with_second_factor

CREDIT = UNIT = 1_000_000
_numbers = itertools.count(1)


def billing_admin() -> tuple[Client, User]:
    """A signed-in billing admin who belongs to no organization."""
    user = User.objects.create_user(f"billing-{uuid.uuid4().hex[:8]}@example.com")
    staff.grant(user, StaffRole.Role.BILLING_ADMIN, "test", "for this test")
    return with_second_factor(signed_in(user), user), user


def customer(name: str = "Northwind Films", tier: str = "pro", credits: int = 0) -> Organization:
    """An organization with its owner, and that many purchased credits."""
    slug = f"northwind-{next(_numbers)}"
    organization = organizations.create(
        name, tier, User.objects.create_user(f"owner@{slug}.example"), slug=slug
    )
    if credits:
        ledger.grant(
            organization.pk,
            credits * CREDIT,
            bucket="purchased",
            idempotency_key="stage",
            reason="for this test",
        )
    return organization


def decided(organization: Organization, units: int = 10, at: datetime | None = None) -> Decision:
    """A decision about a clip of so many units."""
    at = at or timezone.now()
    asked = access.AccessRequest(
        organization.pk, None, None, "clip", str(uuid.uuid4()), units * UNIT, "pocket-video"
    )
    with transaction.atomic():
        return access.decide_and_hold(asked, tiers.terms_for(organization.pk, timezone.now()), at)


def charged(
    organization: Organization,
    units: int = 10,
    outcome: str = "delivered",
    reason_code: str = "delivered",
    at: datetime | None = None,
) -> Charge:
    """Work that is over, with its charge: 0.3 credits a unit, or nothing."""
    at = at or timezone.now() - timedelta(seconds=2)
    decision = decided(organization, units, at)
    assert decision.allowed, decision.message
    return settle(
        decision.hold.pk,
        outcome=outcome,
        units_micro=units * UNIT,
        quantity=30,
        subject=decision.subject,
        reason_code=reason_code,
        at=at + timedelta(seconds=1),
    )


def bought(organization: Organization) -> Payment:
    """A paid credit pack: 5,000 credits for $50, by the sandbox provider."""
    pack = CreditPack.objects.get(slug="maker")
    number = next(_numbers)
    payment = Payment.objects.create(
        organization=organization,
        provider="sandbox",
        provider_id=f"cs_stage_{number}",
        provider_payment_id=f"pi_stage_{number}",
        pack=pack,
        credits_micro=pack.credits_micro,
        amount_cents=pack.amount_cents,
        currency="usd",
        idempotency_key=str(number),
        request_hash="0" * 64,
    )
    return purchases.paid(payment.pk, at=timezone.now())

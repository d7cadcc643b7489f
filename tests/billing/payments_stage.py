"""What tests of payments begin with: a stand-in for Stripe, an organization that buys, and its balances."""

import itertools
from collections.abc import Iterator
from datetime import datetime

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Organization
from billing.models import Account, AutoTopUp, Payment, PaymentEvent
from billing.payments import buying, top_up_settings, webhooks
from tests.billing import stand_in_stripe
from tests.billing.conftest import CREDIT, new_organization
from tests.billing.stand_in_stripe import StandIn

RETURNS = buying.returns_to("https://backlot.example")
PACK = 1_000 * CREDIT
_keys = itertools.count(1)


@pytest.fixture
def stripe_server(settings) -> Iterator[StandIn]:
    """Backlot with Stripe's keys, pointed at a stand-in."""
    with StandIn() as running:
        settings.PAYMENTS = "stripe"
        settings.STRIPE_SECRET_KEY = stand_in_stripe.KEY
        settings.STRIPE_WEBHOOK_SECRET = stand_in_stripe.SECRET
        settings.STRIPE_API_BASE = running.url
        yield running


@pytest.fixture
def buyer(db) -> Organization:
    return new_organization()


def begin(organization: Organization, key: str | None = None, **changes) -> Payment:
    """A purchase up to its checkout page."""
    asked = {"user": None, "keep_card": False, "returns": RETURNS, "now": timezone.now(), **changes}
    return buying.start(
        organization, changes.pop("pack", "starter"), idempotency_key=key or f"key-{next(_keys)}", **asked
    )


def hear(server: StandIn, events: list[dict] | None = None, at: datetime | None = None) -> list[PaymentEvent]:
    """Deliver events to the handlers in this process; all that wait, unless given."""
    if events is None:
        events, server.events = server.events, []
    return [
        webhooks.receive("stripe", *stand_in_stripe.signed(event), at or timezone.now()) for event in events
    ]


def bought(server: StandIn, organization: Organization, **changes) -> Payment:
    """A purchase that was paid and told of."""
    payment = begin(organization, **changes)
    server.pay(payment.provider_id)
    hear(server)
    payment.refresh_from_db()
    assert payment.state == "paid"
    return payment


def with_top_up(server: StandIn, organization: Organization, **changes) -> AutoTopUp:
    """Automatic top-up switched on, with the card of a first purchase of 1,000 credits."""
    from accounts.models import User

    bought(server, organization, keep_card=True)
    user = User.objects.create_user(f"top-up-{organization.pk}@example.com")
    asked = {"pack_slug": "starter", "threshold_micro": 100 * CREDIT, "monthly_cap_cents": 5_000}
    return top_up_settings.switch_on(organization, **{**asked, **changes}, user=user, now=timezone.now())


def balance(organization: Organization, kind: str = "purchased") -> int:
    """Stored micro-credits; 0 where there is no such account yet."""
    found = Account.objects.filter(organization=organization, kind=kind)
    return found.values_list("balance", flat=True).first() or 0


def spend(organization: Organization, credits: float) -> None:
    """Take purchased credits away."""
    from billing.corrections import adjust

    adjust(
        organization.pk,
        -round(credits * CREDIT),
        idempotency_key=f"spend-{next(_keys)}",
        reason="spent in a test",
        actor=None,
        at=timezone.now(),
    )


def charges(server: StandIn) -> list[str]:
    """The keys of the charges that were asked for without the payer, whatever became of them."""
    return sorted({key for _, path, key in server.calls if path == "/v1/payment_intents" and key})


def top_ups(organization: Organization) -> list[str]:
    """The states of the organization's automatic top-ups, oldest first."""
    mine = Payment.objects.filter(organization=organization, purpose=Payment.Purpose.AUTO_TOP_UP)
    return list(mine.order_by("created_at").values_list("state", flat=True))


def as_at_commit() -> None:
    """The deferred checks of the database, now."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")

"""An organization with money to move, and a database that threads can share."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from accounts import tiers
from accounts.models import Enrollment, Organization, TierTerms
from billing import access, ledger
from billing.models import Account, Decision, Transaction
from tests.committed import committed as committing

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CREDIT = 1_000_000
UNIT = 1_000_000
UNIT_PRICE = 300_000  # micro-credits, as seeded

_numbers = itertools.count(1)


def new_organization(tier: str = "free") -> Organization:
    organization = Organization.objects.create(slug=f"billing-{next(_numbers)}", name="Billing test")
    Enrollment.objects.create(
        organization=organization,
        tier_id=tier,
        effective_from=NOON.replace(year=2026, month=1),
        author="test",
        reason="test",
    )
    return organization


@pytest.fixture
def organization(db) -> Organization:
    """On the free tier: 15 credits of allowance a day and 90 a month; no purchased credits yet."""
    return new_organization()


@pytest.fixture
def terms(organization) -> TierTerms:
    return tiers.terms_for(organization.pk, NOON)


@pytest.fixture
def bare_terms(terms) -> TierTerms:
    """The free tier without an allowance and with room for anything: only credits decide. Changed in memory alone."""
    terms.allowance_day_micro = terms.allowance_month_micro = None
    terms.requests_per_minute, terms.max_open, terms.units_in_flight_micro = 10_000, 10_000, 10**12
    return terms


def asking(
    organization: Organization, units: float, subject: str | None = None, **changes
) -> access.AccessRequest:
    fields = {
        "organization_id": organization.pk,
        "user_id": None,
        "api_key_id": None,
        "operation": "clip",
        "subject": subject or f"job:{next(_numbers)}",
        "units_micro": round(units * UNIT),
        "model": "pocket-video",
    }
    return access.AccessRequest(**{**fields, **changes})


@pytest.fixture
def decide(organization, terms) -> Callable[..., Decision]:
    """decide(units, subject=None, now=NOON, terms=…): a decision in a database transaction of its own."""

    def _decide(units, subject=None, now=NOON, terms=terms, organization=organization, **changes) -> Decision:
        with transaction.atomic():
            return access.decide_and_hold(asking(organization, units, subject, **changes), terms, now)

    return _decide


def buy(organization: Organization, credits: float, key: str | None = None) -> Transaction:
    return ledger.grant(
        organization.pk,
        round(credits * CREDIT),
        bucket="purchased",
        idempotency_key=key or f"buy:{next(_numbers)}",
        reason="test",
        at=NOON,
    )


def promote(
    organization: Organization, credits: float, expires_at: datetime, at: datetime = NOON
) -> Transaction:
    return ledger.grant(
        organization.pk,
        round(credits * CREDIT),
        bucket="promotional",
        idempotency_key=f"promote:{next(_numbers)}",
        reason="test",
        expires_at=expires_at,
        at=at,
    )


def stored(organization: Organization) -> dict[str, int]:
    """The stored balances by kind, promotions summed."""
    found = dict.fromkeys(["purchased", "allowance", "promotional", "held"], 0)
    for kind, balance in Account.objects.filter(organization=organization).values_list("kind", "balance"):
        found[kind] = found.get(kind, 0) + balance
    return found


def run_sql(sql: str, *params: object) -> None:
    """Past all of Python, with the deferred checks made at once as a commit would make them."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.fixture
def committed(django_db_setup, django_db_blocker) -> Iterator[None]:
    """A database whose commits are real, for threads and for whole transactions; swept afterwards."""
    with committing(django_db_blocker):
        yield

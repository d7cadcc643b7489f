"""A late clip earns its credit once; the row that names its model goes before any model's."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from billing import service_levels
from billing.models import Account, Notice, SlaCredit, SlaTarget, UsageEvent
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, run_sql, stored


def target(**changes) -> SlaTarget:
    fields = {"tier_id": "plus", "model": "", "max_seconds": 5, "target_s": 30, "credit_micro": CREDIT}
    about = {"effective_from": NOON - timedelta(days=1), "author": "test", "reason": "test"}
    return SlaTarget.objects.create(**{**fields, **about, **changes})


@pytest.fixture
def usage(organization, decide) -> UsageEvent:
    hold = decide(1, subject="job:late").hold
    charge = settle(
        hold.pk,
        outcome="delivered",
        units_micro=UNIT,
        quantity=30,
        subject=hold.subject,
        reason_code="delivered",
        at=NOON,
    )
    return charge.usage_event


@pytest.mark.django_db
class TestTarget:
    def test_shipped_rows(self):
        found = service_levels.target_for("plus", "pocket-video", 10, NOON)
        assert (found.target_s, found.credit_micro, found.max_seconds) == (120, 20 * CREDIT, 10)
        assert service_levels.target_for("plus", "pocket-video", 10.5, NOON).max_seconds == 20
        assert service_levels.target_for("free", "pocket-video", 4, NOON).credit_micro == 0
        assert service_levels.target_for("plus", "pocket-video", 61, NOON) is None

    def test_a_row_for_the_model_and_the_newest_in_force(self):
        target()
        own = target(model="pocket-video", max_seconds=60)
        assert service_levels.target_for("plus", "pocket-video", 4, NOON) == own
        assert service_levels.target_for("plus", "other", 4, NOON).target_s == 30
        newer = target(target_s=20, effective_from=NOON)
        assert service_levels.target_for("plus", "other", 4, NOON) == newer
        assert service_levels.target_for("plus", "other", 4, NOON - timedelta(seconds=1)).target_s == 30


def test_late_is_credited_once_and_told(organization, usage):
    row = target()
    late = timedelta(seconds=30, milliseconds=1)
    assert service_levels.credit_breach(usage.pk, row, timedelta(seconds=30), NOON) is None
    credit = service_levels.credit_breach(usage.pk, row, late, NOON)
    assert (credit.amount, credit.took_ms) == (CREDIT, 30_001)
    assert service_levels.credit_breach(usage.pk, row, late, NOON) is None
    account = Account.objects.get(organization=organization, kind="promotional")
    assert (account.balance, account.expires_at) == (CREDIT, NOON + timedelta(days=365))
    assert sorted(credit.transaction.entries.values_list("account__kind", "amount")) == [
        ("promotional", CREDIT),
        ("sla", -CREDIT),
    ]
    assert Notice.objects.get().kind == "sla_credit"
    assert reconcile().drift == ()


def test_a_row_that_earns_nothing_posts_nothing(organization, usage):
    row = target(credit_micro=0)
    assert service_levels.credit_breach(usage.pk, row, timedelta(hours=1), NOON) is None
    assert stored(organization)["promotional"] == 0


def test_the_database_takes_no_second_credit_and_none_without_its_money(organization, usage):
    credit = service_levels.credit_breach(usage.pk, target(), timedelta(minutes=2), NOON)
    insert = """INSERT INTO billing_slacredit (organization_id, usage_event_id, target_id, took_ms, amount,
        transaction_id, at) SELECT organization_id, %s, target_id, took_ms, %s, %s, at FROM billing_slacredit"""
    with pytest.raises(IntegrityError, match="already exists"), transaction.atomic():
        run_sql(insert, usage.pk, CREDIT, credit.transaction_id)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        run_sql("UPDATE billing_slacredit SET amount = amount + 1")
    assert SlaCredit.objects.count() == 1

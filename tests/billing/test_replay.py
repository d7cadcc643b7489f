"""A replay derives what each transaction moved from the record behind it, and names what differs."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import OperationalEvent
from billing import corrections, ledger, purchases, reconciliation
from billing.models import CreditPack, Payment, Transaction
from billing.replay import replay
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, promote, stored
from tests.billing.test_reconciliation import tamper

DAY = timedelta(days=1)


@pytest.fixture
def history(organization, decide):
    """Every kind of movement but overage: bought, refunded, disputed, spent, given back, voided, expired."""
    buy(organization, 30)
    promote(organization, 2, NOON + timedelta(hours=1))
    given = ledger.grant(
        organization.pk, CREDIT, bucket="purchased", idempotency_key="given", reason="test", at=NOON
    )
    corrections.void(given.pk, idempotency_key="void", reason="test", actor=None, at=NOON)
    for number, (subject, outcome) in enumerate(
        (("job:a", "delivered"), ("job:b", "failed"), ("job:c", "cancelled"))
    ):
        hold = decide(20 + number, subject=subject).hold
        done = {"outcome": outcome, "units_micro": 7 * UNIT + 1, "quantity": 1, "reason_code": outcome}
        charge = settle(hold.pk, subject=subject, at=NOON, **done)
    asked = {"idempotency_key": "back", "reason": "test", "actor": None, "at": NOON}
    corrections.refund_charge(charge.pk, 1_000, **asked)
    payment = paid(organization)
    refund = purchases.begin_refund(
        payment.pk,
        300 * CREDIT,
        reason="test",
        idempotency_key="refund",
        requested_by=None,
        at=NOON,
    )
    purchases.refund_failed(refund.pk, at=NOON)
    purchases.disputed(payment.pk, dispute_id="dp_1", at=NOON)
    purchases.dispute_won(payment.pk, dispute_id="dp_1", at=NOON)
    decide(70, subject="job:open", now=NOON + DAY)
    return organization


def paid(organization) -> Payment:
    pack = CreditPack.objects.get(slug="starter")
    figures = {name: getattr(pack, name) for name in ("credits_micro", "amount_cents", "currency")}
    made = Payment.objects.create(
        organization=organization,
        provider="stripe",
        pack=pack,
        idempotency_key="p",
        request_hash="x",
        **figures,
    )
    return purchases.paid(made.pk, at=NOON, provider_payment_id="pi_1")


def test_no_difference(history):
    count, found = replay()
    assert found == []
    assert count == Transaction.objects.count()
    assert reconciliation.reconcile().drift == ()


def test_since_a_moment(history):
    count, found = replay(NOON + timedelta(hours=2))
    assert found == []
    assert count == Transaction.objects.filter(at__gt=NOON + timedelta(hours=2)).count() == 4


@pytest.mark.parametrize(
    ("sql", "checks"),
    [
        (
            "UPDATE billing_account SET balance = balance - 1 WHERE kind = 'purchased'",
            {"balance is what was replayed"},
        ),
        # A charge that was raised in all that reconciliation could compare it with but its usage.
        (
            "UPDATE billing_usageevent SET units_micro = units_micro + 1000000 WHERE outcome = 'delivered'",
            {
                "entry is what its record says",
                "balance is what was replayed",
                "running balance is what was replayed",
            },
        ),
        (
            "UPDATE billing_payment SET credits_micro = credits_micro + 1",
            {
                "entry is what its record says",
                "balance is what was replayed",
                "running balance is what was replayed",
            },
        ),
        (
            "UPDATE billing_transaction SET available_after = available_after + 1 WHERE kind = 'purchase'",
            {"running balance is what was replayed"},
        ),
    ],
)
def test_a_planted_difference_is_named(history, sql, checks):
    tamper(sql)
    found = replay()[1]
    assert {drift.check for drift in found} == checks
    assert {drift.organization for drift in found} == {history.slug}


def test_the_scratch_schema_goes_unless_it_is_kept(history):
    def schemas() -> list:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'replay%'")
            return [name for (name,) in cursor.fetchall()]

    replay()
    assert schemas() == []
    replay(schema="replay_kept", keep=True)
    assert schemas() == ["replay_kept"]


def test_the_command(history, capsys):
    call_command("replay", "--since", "2026-11-22")
    assert capsys.readouterr().out == "No difference: 4 transactions replayed.\n"
    tamper("UPDATE billing_account SET balance = balance - 1 WHERE kind = 'held'")
    with pytest.raises(SystemExit) as caught:
        call_command("replay", json=True)
    assert caught.value.code == 1
    (named,) = json.loads(capsys.readouterr().out)["drift"]
    assert named["check"] == "balance is what was replayed"


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("UPDATE billing_payment SET state = 'refunded'", "state of a payment follows from its refunds"),
        ("UPDATE billing_payment SET state = 'disputed'", None),  # nothing of it is disputed any more
        (
            "UPDATE billing_refund SET state = 'succeeded'",
            "refund that failed came back",
        ),
        ("UPDATE billing_refund SET credits_micro = 1", "refund of a payment left the wallet"),
        (
            "UPDATE billing_entry SET account_id = (SELECT id FROM billing_account WHERE kind = 'sla') WHERE "
            "account_id = (SELECT id FROM billing_account WHERE kind = 'cash')",
            "each kind moves between its own accounts",
        ),
        (
            "UPDATE billing_wallet SET overage_month = '2026-11-01', overage_granted = 5",
            "overage of the month was opened once",
        ),
    ],
)
def test_drift_of_payments_is_found(history, sql, check):
    tamper(sql)
    found = {drift.check for drift in reconciliation.reconcile().drift}
    assert found == set() if check is None else check in found


def test_the_nightly_run_raises_an_alarm_per_organization(history):
    reconciliation.watch()
    assert not OperationalEvent.objects.filter(kind="billing.drift").exists()
    tamper("UPDATE billing_account SET balance = balance + 1 WHERE kind = 'purchased'")
    reconciliation.watch()
    alarm = OperationalEvent.objects.get(kind="billing.drift")
    assert (alarm.severity, alarm.subject) == ("critical", f"organization:{history.slug}")
    assert alarm.detail["drifted"] == 1
    assert OperationalEvent.objects.filter(kind="billing.reconciled").count() == 2


def test_a_dispute_won_after_a_refund_failed_gives_back_what_it_took(organization):
    """The failed refund has come back by itself: together they are what was bought, and no more."""
    payment = paid(organization)
    asked = {"reason": "test", "idempotency_key": "refund", "requested_by": None, "at": NOON}
    refund = purchases.begin_refund(payment.pk, 300 * CREDIT, **asked)
    purchases.disputed(payment.pk, dispute_id="dp_1", at=NOON)
    purchases.refund_failed(refund.pk, at=NOON)
    purchases.dispute_won(payment.pk, dispute_id="dp_1", at=NOON)
    assert stored(organization)["purchased"] == payment.credits_micro
    assert reconciliation.reconcile().drift == ()
    assert replay()[1] == []

"""Reconciliation finds what was changed behind the triggers' back, and finds nothing where nothing was."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from billing import ledger
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization, promote

DAY = timedelta(days=1)


@pytest.fixture
def busy(organization, decide):
    """Grants, holds, a charge in part, a failure, a release, a late release, a roll, an expiry; one hold stays open."""
    buy(organization, 10)
    promote(organization, 1, NOON + timedelta(hours=1))
    late = decide(2, subject="job:late").hold
    for subject, outcome in (("job:a", "delivered"), ("job:b", "failed"), ("job:c", "cancelled")):
        hold = decide(5, subject=subject).hold
        settle(
            hold.pk,
            outcome=outcome,
            units_micro=2 * UNIT,
            quantity=1,
            subject=subject,
            reason_code=outcome,
            at=NOON,
        )
    decide(70, subject="job:open", now=NOON + DAY)
    with transaction.atomic():
        ledger.release(ledger.open_books(organization.pk), late, reason="test", at=NOON + DAY)
    return organization


def tamper(sql: str) -> None:
    """Change rows with every trigger off, as somebody with the keys to the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_no_drift(busy):
    report = reconcile()
    assert report.drift == ()
    assert (report.organizations, report.charges) == (1, 3)


@pytest.mark.parametrize(
    ("sql", "checks"),
    [
        (
            "UPDATE billing_account SET balance = balance + 1 WHERE kind = 'purchased'",
            {"balance is the sum of its entries"},
        ),
        (
            "UPDATE billing_entry SET amount = amount + 1 WHERE account_id IN "
            "(SELECT id FROM billing_account WHERE kind = 'purchased') AND amount > 0",
            {"entries sum to zero", "balance is the sum of its entries", "running balance is the sum so far"},
        ),
        (
            "UPDATE billing_charge SET amount = amount - 1 WHERE amount > 0",
            {
                "charge follows from usage",
                "charge is what its hold captured",
                "charge is what reached revenue",
            },
        ),
        (
            "UPDATE billing_usageevent SET units_micro = 1 WHERE outcome = 'delivered'",
            {"charge follows from usage"},
        ),
        (
            "UPDATE billing_usageevent SET outcome = 'failed' WHERE outcome = 'delivered'",
            {"charge follows from usage"},
        ),
        (
            "UPDATE billing_priceversion SET micro_per_unit = 1 WHERE operation = 'clip'",
            {"charge follows from usage", "quote follows from units"},
        ),
        (
            "UPDATE billing_hold SET state = 'released', resolved_at = now() WHERE state = 'open'",
            {
                "held account is the sum of open holds",
                "hold lies in the held account while it is open",
                "allowance of the day adds up",
            },
        ),
        ("DELETE FROM billing_holdpart WHERE allowance_day IS NULL", {"parts make up the hold"}),
        (
            "DELETE FROM billing_charge WHERE amount = 0",
            {"every usage event has a charge"},
        ),
        (
            "UPDATE billing_transaction SET charge_id = NULL WHERE kind = 'charge'",
            {"charge is what reached revenue", "revenue comes from charges alone"},
        ),
        (
            "UPDATE billing_transaction SET held_after = held_after + 1 WHERE kind = 'grant'",
            {"running balance is the sum so far"},
        ),
        ("UPDATE billing_wallet SET allowance_day_granted = 1", {"allowance of the day adds up"}),
        ("UPDATE billing_wallet SET allowance_month_spent = 1", {"allowance of the month adds up"}),
        (
            "DELETE FROM billing_charge; DELETE FROM billing_usageevent",
            {"captured hold has a charge"},
        ),
    ],
)
def test_planted_drift_is_found_and_named(busy, sql, checks):
    new_organization()
    tamper(sql)
    drift = reconcile().drift
    assert {found.check for found in drift} == checks
    assert {found.organization for found in drift} == {busy.slug}


def test_entries_across_organizations(busy):
    other = new_organization()
    buy(other, 5)
    tamper(f"""
        UPDATE billing_entry SET account_id = (SELECT id FROM billing_account
                                               WHERE organization_id = {other.pk} AND kind = 'purchased')
         WHERE account_id = (SELECT id FROM billing_account WHERE organization_id = {busy.pk} AND kind = 'purchased')
    """)
    found = [d for d in reconcile().drift if d.check == "entries stay in their organization"]
    assert {d.organization for d in found} == {busy.slug}


def test_the_command_says_so_and_exits_1(busy, capsys):
    call_command("reconcile")
    assert capsys.readouterr().out == "No drift: 1 organization, 16 transactions, 3 charges.\n"
    tamper("UPDATE billing_account SET balance = balance - 1 WHERE kind = 'purchased'")
    with pytest.raises(SystemExit) as caught:
        call_command("reconcile")
    assert caught.value.code == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{busy.slug}: 1 drifted\n  balance is the sum of its entries: purchased:")
    assert "Drift found" in out


def test_as_json(busy, capsys):
    tamper("UPDATE billing_wallet SET allowance_month_spent = 1")
    with pytest.raises(SystemExit):
        call_command("reconcile", json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["drift"] == [
        {
            "organization": busy.slug,
            "check": "allowance of the month adds up",
            "subject": "allowance:2026-11",
            "expected": str(round(1.2 * CREDIT)),
            "found": "1",
        }
    ]


def test_outside_a_transaction_it_reads_one_snapshot_and_writes_nothing(committed):
    organization = new_organization()
    buy(organization, 1)
    assert reconcile().drift == ()
    buy(organization, 1)  # the connection is as it was before

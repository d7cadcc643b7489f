"""What the database refuses by itself: raw SQL past all of Python, with the deferred checks made as a commit would."""

import pytest
from django.db import DatabaseError, connection, transaction

from billing.models import Account, Charge, Decision, Entry, Hold, Transaction, UsageEvent, Wallet
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization, run_sql, stored

APPEND_ONLY = [
    "billing_priceversion",
    "billing_decision",
    "billing_holdpart",
    "billing_usageevent",
    "billing_charge",
    "billing_transaction",
    "billing_entry",
]


@pytest.fixture
def settled(organization, decide) -> Hold:
    """One settled hold (3 credits, 1.2 captured), one open one of 1.5 credits, 10 purchased credits."""
    buy(organization, 10)
    hold = decide(10, subject="job:settled").hold
    settle(
        hold.pk,
        outcome="delivered",
        units_micro=4 * UNIT,
        quantity=30,
        subject=hold.subject,
        reason_code="delivered",
        at=NOON,
    )
    decide(5, subject="job:open")
    hold.refresh_from_db()
    return hold


def refused(match: str, sql: str, *params: object) -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic():
        run_sql(sql, *params)


def account(organization, kind: str) -> int:
    return Account.objects.get(organization=organization, kind=kind).pk


def platform(kind: str) -> int:
    return Account.objects.get(organization=None, kind=kind).pk


INSERT_TRANSACTION = """
    INSERT INTO billing_transaction (organization_id, operation, idempotency_key, request_hash, kind, reason,
                                     available_after, held_after, at, written_in)
    VALUES (%s, 'raw', 'raw', repeat('0', 64), 'grant', 'raw', 0, 0, now(), 0) RETURNING id
"""
INSERT_ENTRIES = "INSERT INTO billing_entry (transaction_id, account_id, amount) VALUES "


def posting(organization, *entries: tuple[int, int]) -> None:
    """A transaction with these (account, amount) entries, written by hand."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT_TRANSACTION, [organization.pk])
        (transaction_id,) = cursor.fetchone()
    if entries:
        values = ", ".join(f"({transaction_id}, {account_id}, {amount})" for account_id, amount in entries)
        run_sql(INSERT_ENTRIES + values)
    else:
        run_sql("SELECT 1")


def posting_refused(match: str, organization, *entries: tuple[int, int]) -> None:
    before = stored(organization)
    with pytest.raises(DatabaseError, match=match), transaction.atomic():
        posting(organization, *entries)
    assert stored(organization) == before
    assert not Transaction.objects.filter(operation="raw").exists()


class TestAppendOnly:
    def test_rows_are_never_updated(self, settled):
        columns = {
            "billing_priceversion": "created_at",
            "billing_entry": "amount",
            "billing_holdpart": "amount",
        }
        for table in APPEND_ONLY:
            column = columns.get(table, "at")
            refused(f"Cannot update.*{table}", f"UPDATE {table} SET {column} = {column}")

    def test_rows_are_never_deleted(self, settled):
        for table in [*APPEND_ONLY, "billing_account", "billing_hold"]:
            refused(f"Cannot .*delete.*{table}", f"DELETE FROM {table}")

    @pytest.mark.parametrize("table", [*APPEND_ONLY, "billing_account", "billing_hold"])
    def test_tables_are_never_truncated(self, db, table):
        refused(rf"truncate.* {table}|{table} is never truncated", f"TRUNCATE {table} CASCADE")


class TestTransactions:
    def test_a_balanced_one_written_by_hand_is_taken_and_moves_the_balance(self, organization):
        buy(organization, 10)
        posting(organization, (account(organization, "purchased"), 7), (platform("grants"), -7))
        assert stored(organization)["purchased"] == 10 * CREDIT + 7

    def test_entries_that_do_not_sum_to_zero(self, organization):
        buy(organization, 10)
        purchased, grants = account(organization, "purchased"), platform("grants")
        posting_refused("sum to 1", organization, (purchased, 8), (grants, -7))

    def test_one_entry_alone(self, organization):
        buy(organization, 10)
        posting_refused("has 1 entries", organization, (account(organization, "purchased"), 8))

    def test_no_entries(self, organization):
        buy(organization, 10)
        posting_refused("has 0 entries", organization)

    def test_an_entry_of_nothing(self, organization):
        buy(organization, 10)
        purchased, grants = account(organization, "purchased"), platform("grants")
        posting_refused("entry_moves_something", organization, (purchased, 0), (grants, 0))

    def test_two_entries_on_one_account(self, organization):
        buy(organization, 10)
        purchased = account(organization, "purchased")
        posting_refused("entry_once_per_account", organization, (purchased, 5), (purchased, -5))

    def test_entries_added_to_an_old_transaction(self, committed):
        organization = new_organization()
        old = buy(organization, 10)
        cash, revenue = platform("cash"), platform("revenue")
        refused(
            "not written together",
            INSERT_ENTRIES + "(%s, %s, 5), (%s, %s, -5)",
            *(old.pk, cash, old.pk, revenue),
        )
        assert old.entries.count() == 2

    def test_the_database_transaction_it_was_written_in_can_not_be_claimed(self, committed):
        organization = new_organization()
        with transaction.atomic():
            posting(organization, (platform("cash"), 5), (platform("grants"), -5))
            written_in = Transaction.objects.values_list("written_in", flat=True).get(operation="raw")
            assert written_in > 0

    def test_another_organizations_account(self, organization):
        buy(organization, 10)
        other = new_organization()
        buy(other, 10)
        mine, theirs = account(organization, "purchased"), account(other, "purchased")
        posting_refused("crosses organizations", organization, (mine, 5), (theirs, -5))
        assert stored(other)["purchased"] == 10 * CREDIT

    def test_more_than_there_is(self, organization):
        buy(organization, 10)
        purchased, grants = account(organization, "purchased"), platform("grants")
        posting_refused(
            "account_balance_not_negative",
            organization,
            (purchased, -10 * CREDIT - 1),
            (grants, 10 * CREDIT + 1),
        )

    def test_the_same_idempotency_key(self, organization):
        buy(organization, 10)
        purchased, grants = account(organization, "purchased"), platform("grants")
        posting(organization, (purchased, 5), (grants, -5))
        with pytest.raises(DatabaseError, match="transaction_idempotent"), transaction.atomic():
            posting(organization, (purchased, 5), (grants, -5))
        assert stored(organization)["purchased"] == 10 * CREDIT + 5

    def test_an_imbalance_is_found_at_the_commit(self, committed):
        organization = new_organization()
        buy(organization, 10)
        purchased, grants = account(organization, "purchased"), platform("grants")
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(INSERT_TRANSACTION, [organization.pk])
            (transaction_id,) = cursor.fetchone()
            entries = INSERT_ENTRIES + "(%s, %s, 10), (%s, %s, -5)"
            cursor.execute(entries, [transaction_id, purchased, transaction_id, grants])
            with pytest.raises(DatabaseError, match="sum to 5"):
                cursor.execute("COMMIT")
        assert stored(organization)["purchased"] == 10 * CREDIT


class TestBalances:
    def test_a_balance_is_never_set_by_hand(self, settled):
        for change in ("balance + 1", "balance - 1", "NULL"):
            refused(
                "moves only by entries",
                f"UPDATE billing_account SET balance = {change} WHERE kind = 'purchased'",
            )

    def test_an_account_never_opens_with_money(self, organization):
        sql = """INSERT INTO billing_account (organization_id, kind, balance, expires_at)
                 VALUES (%s, 'promotional', 5, now() + interval '1 day')"""
        refused("opens empty", sql, organization.pk)

    def test_a_platform_account_stores_no_balance(self, db):
        refused(
            "account_of_wallet_or_platform",
            "INSERT INTO billing_account (kind, balance) VALUES ('revenue', 0)",
        )
        refused("moves only by entries", "UPDATE billing_account SET balance = 0 WHERE kind = 'revenue'")

    def test_there_is_one_account_of_each_standing_kind(self, settled):
        sql = "INSERT INTO billing_account (organization_id, kind, balance) VALUES (%s, 'held', 0)"
        refused("account_standing_once", sql, settled.organization_id)
        refused("account_platform_once", "INSERT INTO billing_account (kind) VALUES ('revenue')")

    def test_an_account_stays_what_it_is(self, settled):
        for column, value in (
            ("organization_id", "NULL"),
            ("kind", "'allowance'"),
            ("expires_at", "now()"),
            ("opened_at", "now()"),
        ):
            refused(
                "Cannot update", f"UPDATE billing_account SET {column} = {value} WHERE kind = 'purchased'"
            )

    def test_a_promotion_has_an_expiry_and_nothing_else_has(self, organization):
        sql = (
            "INSERT INTO billing_account (organization_id, kind, balance, expires_at) VALUES (%s, %s, 0, %s)"
        )
        refused("account_promotional_expires", sql, organization.pk, "promotional", None)
        refused("account_promotional_expires", sql, organization.pk, "purchased", NOON)

    def test_allowance_windows_are_never_negative(self, settled):
        for column in ("allowance_day_granted", "allowance_month_spent"):
            refused("wallet_allowance_not_negative", f"UPDATE billing_wallet SET {column} = -1")


class TestHolds:
    def test_a_hold_resolves_once(self, settled):
        for change in (
            "state = 'open', captured = 0, resolved_at = NULL",
            "captured = 1",
            "resolved_at = now()",
        ):
            refused("Cannot update", f"UPDATE billing_hold SET {change} WHERE id = %s", settled.pk)

    def test_never_more_is_captured_than_held(self, settled):
        over = "state = 'captured', captured = amount + 1, resolved_at = now()"
        refused("hold_captured_within", f"UPDATE billing_hold SET {over} WHERE state = 'open'")
        refused("hold_state_and_amount", "UPDATE billing_hold SET captured = 1 WHERE state = 'open'")

    def test_a_hold_does_not_resolve_without_its_money(self, settled):
        for state, captured in (("captured", "amount"), ("released", "0")):
            change = f"state = '{state}', captured = {captured}, resolved_at = now()"
            refused("lies in the held account", f"UPDATE billing_hold SET {change} WHERE state = 'open'")

    def test_what_was_held_stays(self, settled):
        for column, value in (
            ("amount", "amount - 1"),
            ("units_micro", "1"),
            ("subject", "'x'"),
            ("held_at", "now()"),
            ("decision_id", "gen_random_uuid()"),
        ):
            refused("Cannot update", f"UPDATE billing_hold SET {column} = {value} WHERE state = 'open'")

    def test_nothing_is_held_without_money(self, settled):
        allowed = copy_decision(settled, allowed=True)
        refused("do not make it up", INSERT_HOLD, settled.organization_id, allowed, 3 * CREDIT)

    def test_nothing_is_held_without_a_decision_that_allowed_it(self, settled):
        denied = copy_decision(settled, allowed=False)
        refused("no decision that allows it", INSERT_HOLD, settled.organization_id, denied, 3 * CREDIT)
        of_another_amount = copy_decision(settled, allowed=True)
        refused("no decision that allows it", INSERT_HOLD, settled.organization_id, of_another_amount, 1)
        of_another_organization = copy_decision(settled, allowed=True)
        refused(
            "no decision that allows it",
            INSERT_HOLD,
            new_organization().pk,
            of_another_organization,
            3 * CREDIT,
        )

    def test_one_hold_per_decision_and_per_subject(self, settled):
        again = "INSERT INTO billing_hold SELECT (h).* FROM (SELECT h FROM billing_hold h WHERE id = %s) x"
        refused("already exists", again, settled.pk)
        sql = INSERT_HOLD.replace("'raw'", "'job:settled'")
        refused(
            "hold_once_per_subject",
            sql,
            settled.organization_id,
            copy_decision(settled, allowed=True),
            3 * CREDIT,
        )

    def test_a_part_is_never_added(self, settled):
        purchased = account(settled.organization, "purchased")
        sql = "INSERT INTO billing_holdpart (hold_id, account_id, position, amount) VALUES (%s, %s, 9, 1)"
        refused("do not make it up", sql, settled.pk, purchased)


class TestCharges:
    def test_one_charge_per_usage_event_and_one_usage_event_per_work(self, settled):
        copied = "usage_event_id, organization_id, price_version_id, quoted, amount, reason_code, at"
        refused(
            "already exists", f"INSERT INTO billing_charge ({copied}) SELECT {copied} FROM billing_charge"
        )
        same = "organization_id, hold_id, operation, model, outcome, units_micro, quantity, reason_code, at"
        refused(
            "already exists",
            f"INSERT INTO billing_usageevent (subject, {same}) SELECT 'other', {same} FROM billing_usageevent",
        )
        refused("usage_once_per_subject", *usage_for(Hold.objects.get(state="open"), subject="job:settled"))

    def test_a_charge_is_what_its_hold_captured(self, settled):
        open_hold = Hold.objects.get(state="open")
        run_sql(*usage_for(open_hold))
        usage = UsageEvent.objects.get(hold=open_hold)
        refused("not what its hold captured", INSERT_CHARGE, usage.organization_id, usage.pk, CREDIT, CREDIT)
        refused("not what its hold captured", INSERT_CHARGE, usage.organization_id, usage.pk, CREDIT, 0)

    def test_a_charge_is_never_above_the_quote_or_below_nothing(self, settled):
        usage = UsageEvent.objects.get()
        refused("charge_within_quote", INSERT_CHARGE, usage.organization_id, usage.pk, 5, 6)
        refused("charge_within_quote", INSERT_CHARGE, usage.organization_id, usage.pk, 5, -1)

    def test_records_are_not_of_another_organization(self, settled):
        open_hold = Hold.objects.get(state="open")
        run_sql(*usage_for(open_hold))
        usage = UsageEvent.objects.get(hold=open_hold)
        refused("not what its hold captured", INSERT_CHARGE, new_organization().pk, usage.pk, CREDIT, 0)


def test_a_decision_is_refused_with_a_code_or_allowed_without(settled):
    for allowed, code in ((True, "credit_balance_exhausted"), (False, "")):
        with pytest.raises(DatabaseError, match="decision_refused_with_code"), transaction.atomic():
            copy_decision(settled, allowed=allowed, code=code)


def test_a_price_is_never_negative_and_one_per_moment(db):
    sql = """
        INSERT INTO billing_priceversion (operation, author, micro_per_credit, micro_per_unit, effective_from, reason)
        SELECT operation, author, micro_per_credit, %s, effective_from + make_interval(days => %s), %s
          FROM billing_priceversion
    """
    refused("price_not_negative", sql, -1, 1, "r")
    refused("price_one_per_moment", sql, 1, 0, "r")
    refused("price_reason_written", sql, 1, 1, " ")


def test_nothing_of_all_this_was_changed(settled):
    """What the refusals above start from."""
    assert stored(settled.organization) == {
        "purchased": 10 * CREDIT,
        "allowance": 12.3 * CREDIT,
        "promotional": 0,
        "held": 1.5 * CREDIT,
    }
    assert (Entry.objects.count(), Charge.objects.get().amount) == (11, 1.2 * CREDIT)
    assert Wallet.objects.get().allowance_day_granted == 15 * CREDIT


INSERT_HOLD = """
    INSERT INTO billing_hold (organization_id, decision_id, subject, units_micro, amount, captured, state, held_at)
    VALUES (%s, %s, 'raw', 1, %s, 0, 'open', now())
"""
INSERT_CHARGE = """
    INSERT INTO billing_charge (organization_id, usage_event_id, price_version_id, quoted, amount, reason_code, at)
    SELECT %s, %s, min(id), %s, %s, 'raw', now() FROM billing_priceversion
"""


def copy_decision(settled: Hold, *, allowed: bool, code: str | None = None) -> str:
    """Another decision like the settled hold's, which no hold has used; its id."""
    decision = Decision.objects.get(pk=settled.decision_id)
    decision.pk, decision.allowed, decision._state.adding = None, allowed, True
    decision.pk = Decision._meta.pk.get_default()
    decision.code = code if code is not None else ("" if allowed else "credit_balance_exhausted")
    decision.save(force_insert=True)
    return str(decision.pk)


def usage_for(hold: Hold, subject: str | None = None) -> tuple:
    sql = """INSERT INTO billing_usageevent (organization_id, hold_id, subject, operation, model, outcome, units_micro,
                                             quantity, reason_code, at)
             VALUES (%s, %s, %s, 'clip', 'm', 'delivered', 1, 1, 'raw', now())"""
    return sql, hold.organization_id, hold.pk, subject or hold.subject

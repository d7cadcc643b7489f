"""Nothing is edited: a correction is a transaction of its own, within what was captured or granted."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.errors import ApiError
from billing import corrections, ledger
from billing.models import Account, Charge, Transaction
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, promote, run_sql, stored

ABOUT = {"reason": "test", "actor": None, "at": NOON}


@pytest.fixture
def charge(organization, decide) -> Charge:
    """18 credits: 15 from the allowance, 3 purchased (of 10)."""
    buy(organization, 10)
    hold = decide(60, subject="job:charged").hold
    return settle(
        hold.pk,
        outcome="delivered",
        units_micro=60 * UNIT,
        quantity=30,
        subject=hold.subject,
        reason_code="delivered",
        at=NOON,
    )


def committed_check() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_adjusts_up_and_down_once_per_key(organization):
    buy(organization, 10)
    for _ in range(2):
        corrections.adjust(organization.pk, 5 * CREDIT, idempotency_key="up", **ABOUT)
    corrections.adjust(organization.pk, -12 * CREDIT, idempotency_key="down", **ABOUT)
    assert stored(organization)["purchased"] == 3 * CREDIT
    with pytest.raises(ApiError, match="never falls below zero"):
        corrections.adjust(organization.pk, -4 * CREDIT, idempotency_key="too far", **ABOUT)
    with pytest.raises(ApiError) as caught:
        corrections.adjust(organization.pk, 6 * CREDIT, idempotency_key="up", **ABOUT)
    assert caught.value.code == "idempotency_key_reused"
    assert reconcile().drift == ()


def test_a_refund_gives_back_purchased_credits_first_and_the_rest_as_promotional(organization, charge):
    corrections.refund_charge(charge.pk, 2 * CREDIT, idempotency_key="a", **ABOUT)
    assert (stored(organization)["purchased"], stored(organization)["promotional"]) == (9 * CREDIT, 0)
    corrections.refund_charge(charge.pk, 5 * CREDIT, idempotency_key="b", **ABOUT)
    assert (stored(organization)["purchased"], stored(organization)["promotional"]) == (
        10 * CREDIT,
        4 * CREDIT,
    )
    assert corrections.refunded_micro(charge) == 7 * CREDIT
    with pytest.raises(ApiError, match=r"11\.00 credits are left to refund"):
        corrections.refund_charge(charge.pk, 12 * CREDIT, idempotency_key="c", **ABOUT)
    corrections.refund_charge(charge.pk, 11 * CREDIT, idempotency_key="d", **ABOUT)
    committed_check()
    assert reconcile().drift == ()


def test_a_grant_is_voided_whole_and_once(organization):
    granted = buy(organization, 10)
    voided = corrections.void(granted.pk, idempotency_key="v", **ABOUT)
    assert corrections.void(granted.pk, idempotency_key="v", **ABOUT) == voided
    assert stored(organization)["purchased"] == 0
    with pytest.raises(ApiError, match="voided before"):
        corrections.void(granted.pk, idempotency_key="w", **ABOUT)
    assert reconcile().drift == ()


def test_what_was_spent_of_a_grant_is_not_voided(organization, decide, bare_terms):
    granted = promote(organization, 5, NOON.replace(year=2027))
    decide(1, terms=bare_terms)
    with pytest.raises(ApiError, match=r"Only 4\.70 credits of it are left"):
        corrections.void(granted.pk, idempotency_key="v", **ABOUT)
    assert stored(organization)["promotional"] == 4_700_000


def test_work_is_refunded_not_voided(organization, charge):
    posted = Transaction.objects.get(kind="charge")
    with pytest.raises(ApiError, match="can't be voided"):
        corrections.void(posted.pk, idempotency_key="v", **ABOUT)


class TestTheDatabase:
    def post(self, organization, kind: str, moves: list[tuple[int, int]], **columns) -> None:
        names = ", ".join(columns)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO billing_transaction (organization_id, operation, idempotency_key, request_hash, kind,
                    reason, available_after, held_after, at, written_in, {names})
                    VALUES (%s, 'raw', 'raw', repeat('0', 64), %s, 'raw', 0, 0, now(), 0,
                            {", ".join(["%s"] * len(columns))}) RETURNING id""",
                [organization.pk, kind, *columns.values()],
            )
            (number,) = cursor.fetchone()
            for account, amount in moves:
                cursor.execute(
                    "INSERT INTO billing_entry (transaction_id, account_id, amount) VALUES (%s, %s, %s)",
                    [number, account, amount],
                )
        committed_check()

    def accounts(self, organization) -> tuple[int, int, int]:
        own = Account.objects.get(organization=organization, kind="purchased").pk
        platform = dict(Account.objects.filter(organization=None).values_list("kind", "pk"))
        return own, platform["revenue"], platform["grants"]

    def test_a_refund_above_what_was_captured(self, organization, charge):
        own, revenue, _ = self.accounts(organization)
        corrections.refund_charge(charge.pk, 10 * CREDIT, idempotency_key="a", **ABOUT)
        moves = [(own, 9 * CREDIT), (revenue, -9 * CREDIT)]
        with pytest.raises(DatabaseError, match="is left of it"), transaction.atomic():
            self.post(organization, "refund", moves, charge_id=charge.pk)

    def test_a_refund_of_nothing_in_particular(self, organization, charge):
        own, revenue, _ = self.accounts(organization)
        moves = [(own, CREDIT), (revenue, -CREDIT)]
        with pytest.raises(IntegrityError, match="transaction_refund_of_charge"), transaction.atomic():
            self.post(organization, "refund", moves, actor_id=None)

    def test_a_reversal_that_does_not_reverse(self, organization):
        granted = buy(organization, 10)
        own, _, grants = self.accounts(organization)
        moves = [(own, -9 * CREDIT), (grants, 9 * CREDIT)]
        with pytest.raises(DatabaseError, match="does not reverse"), transaction.atomic():
            self.post(organization, "void", moves, reverses_id=granted.pk)

    def test_a_second_reversal(self, organization):
        granted = buy(organization, 10)
        buy(organization, 10)
        corrections.void(granted.pk, idempotency_key="v", **ABOUT)
        own, _, grants = self.accounts(organization)
        moves = [(own, -10 * CREDIT), (grants, 10 * CREDIT)]
        with pytest.raises(IntegrityError, match="reverses"), transaction.atomic():
            self.post(organization, "void", moves, reverses_id=granted.pk)

    def test_what_is_owed_is_never_above_zero_and_a_bucket_never_below(self, organization):
        buy(organization, 1)
        books = ledger.open_books(organization.pk)
        owed = ledger.receivable(books)
        own, _, grants = self.accounts(organization)
        with pytest.raises(IntegrityError, match="account_balance_not_negative"), transaction.atomic():
            self.post(organization, "grant", [(owed.pk, 1), (grants, -1)], actor_id=None)
        with pytest.raises(IntegrityError, match="account_balance_not_negative"), transaction.atomic():
            self.post(organization, "grant", [(own, -CREDIT - 1), (grants, CREDIT + 1)], actor_id=None)

    def test_a_hold_is_expired_by_the_clock_alone(self, organization, decide):
        decide(1)
        expired = "UPDATE billing_hold SET state = 'expired', resolved_at = now()"
        with pytest.raises(DatabaseError, match="has not run out"), transaction.atomic():
            run_sql(expired)
        with pytest.raises(DatabaseError, match="never cut"), transaction.atomic():
            run_sql("UPDATE billing_hold SET expires_at = now() - interval '1 second'")

"""What the database refuses about adjustments and codes, by raw SQL past all of Python."""

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from billing import corrections
from billing.models import Adjustment
from tests.billing.conftest import CREDIT, NOON, new_organization, promote, run_sql

ABOUT = {"reason": "test", "actor": None, "at": NOON}
ABOVE = 10_000 * CREDIT  # what one person alone may do, as shipped


@pytest.fixture
def people(django_user_model) -> tuple[int, int]:
    make = django_user_model.objects.create_user
    return make("one@example.com").pk, make("two@example.com").pk


def request(organization, people, amount: int) -> Adjustment:
    return Adjustment.objects.create(
        organization=organization,
        kind="adjust",
        bucket="purchased",
        amount_micro=amount,
        reason="test",
        requested_by_id=people[0],
    )


APPLY = """UPDATE billing_adjustment SET state = 'applied', decided_at = now(), transaction_id = %s, approved_by_id = %s
            WHERE id = %s"""


class TestAdjustments:
    def test_up_to_the_limit_one_person_is_enough(self, organization, people):
        asked = request(organization, people, ABOVE)
        posted = corrections.adjust(organization.pk, ABOVE, idempotency_key="a", **ABOUT)
        run_sql(APPLY, posted.pk, None, asked.pk)
        asked.refresh_from_db()
        assert asked.state == "applied"

    def test_above_the_limit_it_takes_a_second(self, organization, people):
        asked = request(organization, people, ABOVE + 1)
        posted = corrections.adjust(organization.pk, ABOVE + 1, idempotency_key="a", **ABOUT)
        with pytest.raises(DatabaseError, match="needs a second person"), transaction.atomic():
            run_sql(APPLY, posted.pk, None, asked.pk)
        with pytest.raises(IntegrityError, match="adjustment_not_self_approved"), transaction.atomic():
            run_sql(APPLY, posted.pk, people[0], asked.pk)
        run_sql(APPLY, posted.pk, people[1], asked.pk)

    def test_it_did_what_it_says(self, organization, people):
        asked = request(organization, people, 7 * CREDIT)
        posted = corrections.adjust(organization.pk, 8 * CREDIT, idempotency_key="a", **ABOUT)
        with pytest.raises(DatabaseError, match="is not what its transaction brought"), transaction.atomic():
            run_sql(APPLY, posted.pk, None, asked.pk)
        other = corrections.adjust(new_organization().pk, 7 * CREDIT, idempotency_key="a", **ABOUT)
        with pytest.raises(DatabaseError, match="is not what its transaction brought"), transaction.atomic():
            run_sql(APPLY, other.pk, None, asked.pk)

    def test_a_request_stays_what_it_was_and_is_decided_once(self, organization, people):
        asked = request(organization, people, CREDIT)
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            run_sql("UPDATE billing_adjustment SET amount_micro = 2")
        run_sql("UPDATE billing_adjustment SET state = 'rejected', decided_at = now()")
        posted = corrections.adjust(organization.pk, CREDIT, idempotency_key="a", **ABOUT)
        with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
            run_sql(APPLY, posted.pk, people[1], asked.pk)

    def test_it_begins_as_a_request(self, organization, people):
        insert = """INSERT INTO billing_adjustment (organization_id, kind, bucket, amount_micro, reason, state,
            requested_by_id, approved_by_id, decision_note)
            VALUES (%s, 'adjust', 'purchased', 1, 'x', %s, %s, %s, '')"""
        for state, approved_by in (("applied", None), ("requested", people[1])):
            with pytest.raises(DatabaseError, match="begins as a request"), transaction.atomic():
                run_sql(insert, organization.pk, state, people[0], approved_by)


CODE_ROW = """INSERT INTO billing_promotioncode (code, credits_micro, credits_last_days, max_redemptions, valid_from,
    valid_until, author, reason, approved_by_id) VALUES (%s, %s, 30, %s, '2026-11-01', '2026-12-01', %s, 'x', %s)"""
CONTRACT_ROW = """INSERT INTO billing_overagecontract (organization_id, limit_month_micro, effective_from, author,
    reason, approved_by_id) VALUES (%s, %s, clock_timestamp(), %s, 'x', %s)"""
SETTINGS_ROW = """INSERT INTO billing_billingsettings (approval_above_micro, low_balance_micro, sla_credit_days,
    reads_per_minute_factor, effective_from, author, reason, approved_by_id)
    VALUES (%s, 0, 1, 1, clock_timestamp(), %s, 'x', %s)"""
ONE = "One@Example.com"  # whose account is one@example.com


class TestASecondPerson:
    """Above the limit of one person alone, past all of Python: not without another, and not by oneself."""

    def refused(self, why: str, sql: str, *params: object) -> None:
        with pytest.raises(DatabaseError, match=why), transaction.atomic():
            run_sql(sql, *params)

    def test_for_codes_by_all_that_they_may_give(self, people):
        run_sql(CODE_ROW, "SMALL", ABOVE // 10, 10, ONE, None)
        self.refused("needs a second person", CODE_ROW, "LARGE", ABOVE // 10, 11, ONE, None)
        self.refused("by whoever asked", CODE_ROW, "LARGE", ABOVE // 10, 11, ONE, people[0])
        run_sql(CODE_ROW, "LARGE", ABOVE // 10, 11, ONE, people[1])
        self.refused(
            "Cannot update",
            "UPDATE billing_promotioncode SET approved_by_id = %s WHERE code = 'SMALL'",
            people[1],
        )

    def test_for_contracts(self, organization, people):
        run_sql(CONTRACT_ROW, organization.pk, ABOVE, ONE, None)
        self.refused("needs a second person", CONTRACT_ROW, organization.pk, ABOVE + 1, ONE, None)
        self.refused("by whoever asked", CONTRACT_ROW, organization.pk, ABOVE + 1, ONE, people[0])
        run_sql(CONTRACT_ROW, organization.pk, ABOVE + 1, ONE, people[1])

    def test_for_a_higher_limit_itself(self, people):
        self.refused("needs a second person", SETTINGS_ROW, ABOVE + 1, ONE, None)
        self.refused("by whoever asked", SETTINGS_ROW, ABOVE + 1, ONE, people[0])
        run_sql(SETTINGS_ROW, ABOVE - 1, ONE, None)
        run_sql(SETTINGS_ROW, ABOVE, ONE, people[1])

    def test_for_invoices_that_are_paid(self, organization, people):
        paid = """UPDATE billing_invoice SET state = 'paid', settled_at = now(), settled_by_id = %s,
            approved_by_id = %s"""
        run_sql(CONTRACT_ROW, organization.pk, ABOVE + 1, ONE, people[1])
        # An invoice of any amount, past the trigger that wants it to be what was used.
        run_sql("ALTER TABLE billing_invoice DISABLE TRIGGER USER")
        run_sql(
            """INSERT INTO billing_invoice (organization_id, contract_id, account_id, month, amount_micro,
                   amount_cents, state, note)
               SELECT organization_id, id, (SELECT min(id) FROM billing_account), '2026-10-01', %s, 1, 'open', ''
                 FROM billing_overagecontract""",
            ABOVE + 1,
        )
        run_sql("ALTER TABLE billing_invoice ENABLE TRIGGER USER")
        self.refused("needs a second person", paid, people[0], None)
        self.refused("invoice_not_self_approved", paid, people[0], people[0])
        run_sql(paid, people[0], people[1])


class TestCodes:
    def redeem(self, organization, posted, code: str = "HELLO", at: str = "2026-11-21 12:00+00") -> None:
        run_sql(
            """INSERT INTO billing_redemption (promotion_id, organization_id, transaction_id, at)
               SELECT id, %s, %s, %s FROM billing_promotioncode WHERE code = %s""",
            organization.pk,
            posted.pk,
            at,
            code,
        )

    @pytest.fixture(autouse=True)
    def code(self, db) -> None:
        run_sql(
            """INSERT INTO billing_promotioncode (code, credits_micro, credits_last_days, max_redemptions, valid_from,
               valid_until, author, reason) VALUES ('HELLO', %s, 30, 1, '2026-11-01', '2026-12-01', 'x', 'x')""",
            5 * CREDIT,
        )

    def test_once_in_all_and_for_what_it_gives(self, organization):
        until = NOON.replace(year=2027)
        with pytest.raises(DatabaseError, match="is not what its transaction brought"), transaction.atomic():
            self.redeem(organization, promote(organization, 6, until))
        self.redeem(organization, promote(organization, 5, until))
        other = new_organization()
        with pytest.raises(DatabaseError, match="was redeemed 1 times already"), transaction.atomic():
            self.redeem(other, promote(other, 5, until))

    @pytest.mark.parametrize("at", ["2026-10-31 23:59+00", "2026-12-01 00:00+00"])
    def test_within_its_time(self, organization, at):
        posted = promote(organization, 5, NOON.replace(year=2027))
        with pytest.raises(DatabaseError, match="is not valid at"), transaction.atomic():
            self.redeem(organization, posted, at=at)

    def test_its_terms_are_fixed(self):
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            run_sql("UPDATE billing_promotioncode SET credits_micro = 1")


def test_settings_prices_and_targets_are_newer_rows_never_edits(db):
    for table in (
        "billing_billingsettings",
        "billing_creditpack",
        "billing_slatarget",
        "billing_unitcalibration",
    ):
        with pytest.raises(DatabaseError, match=r"[Tt]runcate"), transaction.atomic():
            run_sql(f"TRUNCATE {table} CASCADE")
    for table in ("billing_billingsettings", "billing_creditpack", "billing_slatarget"):
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic():
            run_sql(f"UPDATE {table} SET reason = 'other'")

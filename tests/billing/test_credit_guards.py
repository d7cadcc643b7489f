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

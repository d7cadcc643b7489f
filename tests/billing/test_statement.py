"""What an organization has and every line of how it came to that, in a bounded number of queries."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from accounts.errors import ApiError
from accounts.models import Organization
from billing import corrections, exports, ledger, reasons, statement, statement_chain
from billing.models import Transaction, Wallet
from billing.settlement import settle
from billing.settlement_rules import RULES
from billing.statement import EVERYTHING, Filter
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization, promote, stored
from tests.billing.csv_reading import read_csv

DAY = timedelta(days=1)


def deliver(hold, units: float = 4, outcome: str = "delivered") -> None:
    settle(
        hold.pk,
        outcome=outcome,
        units_micro=round(units * UNIT),
        quantity=30,
        subject=hold.subject,
        reason_code=outcome,
        at=NOON,
    )


class TestBalances:
    def test_before_any_use_the_allowance_shows_and_nothing_is_written(
        self, organization, django_assert_num_queries
    ):
        statement.balances(organization.pk, NOON)  # what a connection prepares once is prepared
        with django_assert_num_queries(5):
            found = statement.balances(organization.pk, NOON)
        assert (found.available_micro, found.held_micro, found.allowance_micro) == (
            15 * CREDIT,
            0,
            15 * CREDIT,
        )
        assert found.allowance_month_left_micro == found.allowance_month_micro == 90 * CREDIT
        assert found.allowance_renews_at == datetime(2026, 11, 22, tzinfo=UTC)
        assert not Wallet.objects.filter(pk=organization.pk).exists()

    def test_every_bucket(self, organization, decide):
        buy(organization, 10)
        promote(organization, 2, NOON + 2 * DAY)
        promote(organization, 1, NOON + DAY)
        decide(20)
        found = statement.balances(organization.pk, NOON)
        assert (found.purchased_micro, found.promotional_micro, found.allowance_micro) == (
            10 * CREDIT,
            3 * CREDIT,
            9 * CREDIT,
        )
        assert (found.available_micro, found.held_micro) == (22 * CREDIT, 6 * CREDIT)
        assert [(p.left_micro, p.expires_at) for p in found.promotions] == [
            (1 * CREDIT, NOON + DAY),
            (2 * CREDIT, NOON + 2 * DAY),
        ]
        assert (found.allowance_day_micro, found.allowance_month_left_micro) == (15 * CREDIT, 84 * CREDIT)

    def test_a_new_day_shows_as_its_first_use_would_find_it(self, organization, decide):
        promote(organization, 2, NOON + timedelta(hours=1))
        decide(20)
        tomorrow = statement.balances(organization.pk, NOON + DAY)
        assert (tomorrow.allowance_micro, tomorrow.promotional_micro) == (15 * CREDIT, 0)
        assert tomorrow.available_micro == 15 * CREDIT
        assert stored(organization)["allowance"] == 9 * CREDIT

    def test_an_organization_without_a_tier_has_no_allowance(self, db):
        organization = Organization.objects.create(slug="tierless", name="Tierless")
        buy(organization, 1)
        found = statement.balances(organization.pk, NOON)
        assert (found.available_micro, found.allowance_micro, found.allowance_renews_at) == (CREDIT, 0, None)


class TestLines:
    def test_each_line_names_its_work_decision_charge_and_price(self, organization, decide):
        decision = decide(10, subject="job:a")
        deliver(decision.hold)
        charge, hold, allowance = statement.lines(organization.pk)
        assert [charge.kind, hold.kind, allowance.kind] == ["charge", "hold", "allowance"]
        assert (charge.amount_micro, charge.available_change_micro, charge.held_change_micro) == (
            -1.2 * CREDIT,
            1.8 * CREDIT,
            -3 * CREDIT,
        )
        assert (charge.subject, charge.decision_id) == ("job:a", decision.pk)
        assert (charge.charge_micro, charge.quoted_micro, charge.units_micro) == (
            1.2 * CREDIT,
            3 * CREDIT,
            4 * UNIT,
        )
        assert (charge.price_version_id, charge.micro_per_unit) == (decision.price_version_id, 300_000)
        assert (charge.outcome, charge.reason_code) == ("delivered", "delivered")
        assert dict(charge.parts) == {"held": -3 * CREDIT, "allowance": 1.8 * CREDIT}
        assert (hold.amount_micro, hold.subject, hold.charge_id) == (0, "job:a", None)
        assert (allowance.amount_micro, allowance.subject) == (15 * CREDIT, None)

    def test_work_that_was_not_charged_has_a_line_that_says_so(self, organization, decide):
        deliver(decide(10).hold, outcome="blocked")
        line = statement.lines(organization.pk)[0]
        assert (line.kind, line.amount_micro, line.charge_micro) == ("release", 0, 0)
        assert line.reason == "Not charged: the result was blocked"
        assert (line.available_change_micro, line.held_change_micro) == (3 * CREDIT, -3 * CREDIT)

    def test_the_running_balance_is_the_sum_so_far(self, organization, decide):
        buy(organization, 10)
        for units in (10, 20, 30):
            deliver(decide(units).hold)
        decide(1, now=NOON + DAY)
        lines = statement.lines(organization.pk)
        available = held = 0
        for line in reversed(lines):
            available += line.available_change_micro
            held += line.held_change_micro
            assert (line.available_after_micro, line.held_after_micro) == (available, held)
            assert line.balance_after_micro == available + held
        assert sum(stored(organization).values()) == available + held

    def test_pages_and_queries(self, organization, decide, django_assert_num_queries):
        for _ in range(6):
            deliver(decide(1).hold)
        with django_assert_num_queries(3):
            newest = statement.lines(organization.pk, limit=5)
        with django_assert_num_queries(3):
            rest = statement.lines(organization.pk, limit=50, before=newest[-1].id)
        assert (len(newest), len(rest)) == (5, 8)
        ids = [line.id for line in newest + rest]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == Transaction.objects.count()

    def test_groups_and_spans_and_models(self, organization, decide):
        buy(organization, 10)
        deliver(decide(1).hold)
        deliver(decide(1, now=NOON + DAY).hold, outcome="failed")
        kinds = lambda **only: [line.kind for line in statement.lines(organization.pk, only=Filter(**only))]  # noqa: E731
        assert kinds(group="charges") == ["charge"]
        assert kinds(group="uncharged") == ["release"]
        assert kinds(group="held") == ["hold", "hold"]
        assert set(kinds(group="added")) == {"grant", "allowance"}
        assert kinds(group="held", since=NOON + DAY) == kinds(group="held", until=NOON + DAY) == ["hold"]
        assert len(kinds(model="pocket-video")) == 4
        assert kinds(model="other") == []

    def test_what_is_owed_is_no_part_of_the_balance(self, organization, decide):
        buy(organization, 10)
        with transaction.atomic():
            books = ledger.open_books(organization.pk)
            moves = [
                (books.platform("cash"), 15 * CREDIT),
                (books.own("purchased"), -10 * CREDIT),
                (ledger.receivable(books), -5 * CREDIT),
            ]
            ledger.post(
                books, moves, operation="t", key="t", asked={}, kind="adjustment", reason="test", at=NOON
            )
        line = statement.lines(organization.pk)[0]
        assert (line.amount_micro, line.owed_change_micro) == (-10 * CREDIT, 5 * CREDIT)
        found = statement.balances(organization.pk, NOON)
        assert (found.purchased_micro, found.owed_micro) == (0, 5 * CREDIT)

    def test_only_its_own(self, organization, decide):
        buy(organization, 1)
        assert statement.lines(new_organization().pk) == []


class TestChain:
    def test_a_charge_opens_to_its_entries(self, organization, decide, django_assert_max_num_queries):
        decision = decide(10, subject="job:a")
        deliver(decision.hold)
        line = statement.lines(organization.pk)[0]
        with django_assert_max_num_queries(9):
            found = statement_chain.chain(organization.pk, line.id)
            assert found.line == line
            assert (found.decision, found.hold, found.usage.hold) == (decision, decision.hold, decision.hold)
            assert found.charge.usage_event == found.usage
            assert found.charge.price_version == decision.price_version
        assert found.computed_micro == found.charge.amount == 1.2 * CREDIT
        assert sum(entry.amount for entry in found.entries) == 0
        by_kind = {entry.account.kind: entry.amount for entry in found.entries}
        assert by_kind == {"held": -3 * CREDIT, "allowance": 1.8 * CREDIT, "revenue": 1.2 * CREDIT}
        assert [other.kind for other in found.around] == ["hold"]
        assert (found.why.charged, found.why.happened) == (True, "it was delivered")

    @pytest.mark.parametrize(
        ("outcome", "code", "words"),
        [
            ("failed", "system_failed:not_finite", "NaN"),
            ("failed", "system_failed:internal_error", "Three tries"),
            ("blocked", "blocked_by_safety", "not charged"),
            ("cancelled", "cancelled_before_start", "nothing is charged"),
        ],
    )
    def test_why_nothing_was_charged(self, organization, decide, outcome, code, words):
        hold = decide(10).hold
        settle(
            hold.pk,
            outcome=outcome,
            units_micro=0,
            quantity=0,
            subject=hold.subject,
            reason_code=code,
            at=NOON,
        )
        found = statement_chain.chain(organization.pk, statement.lines(organization.pk)[0].id)
        assert found.why.charged is False
        assert words in found.why.rule
        assert found.charge.amount == 0
        assert found.line.amount_micro == 0

    def test_every_kind_of_line_opens(self, organization, decide):
        buy(organization, 10)
        deliver(decide(60).hold, units=60)
        charge = statement.lines(organization.pk)[0].charge_id
        corrections.refund_charge(charge, CREDIT, idempotency_key="r", reason="goodwill", actor=None, at=NOON)
        for line in statement.lines(organization.pk):
            assert statement_chain.chain(organization.pk, line.id).line == line
        assert statement.line_of_charge(organization.pk, charge) is not None

    def test_another_organizations_line_is_not_found(self, organization, decide):
        decide(1)
        line = statement.lines(organization.pk)[0]
        with pytest.raises(ApiError) as refused:
            statement_chain.chain(new_organization().pk, line.id)
        assert refused.value.code == "not_found"


class TestCsv:
    SUMS = """
        SELECT coalesce(sum(e.amount) FILTER (WHERE a.kind <> 'receivable'), 0),
               coalesce(sum(e.amount) FILTER (WHERE a.kind = 'held'), 0)
          FROM billing_entry e JOIN billing_account a ON a.id = e.account_id
          JOIN billing_transaction t ON t.id = e.transaction_id
         WHERE a.organization_id = %s AND t.at >= %s AND t.at < %s
    """

    def ledger_sums(self, organization, since, until):
        with connection.cursor() as cursor:
            cursor.execute(self.SUMS, [organization.pk, since, until])
            return tuple(map(int, cursor.fetchone()))

    def busy(self, organization, decide):
        buy(organization, 10)
        promote(organization, 1.000001, NOON + DAY)
        for units, outcome in ((10, "delivered"), (3.333333, "cancelled"), (5, "failed"), (20, "delivered")):
            deliver(decide(units).hold, units=units / 3, outcome=outcome)
        decide(7)
        deliver(decide(2, now=NOON + DAY).hold)

    def test_the_sum_is_the_ledgers_to_the_micro_credit(self, organization, decide, monkeypatch):
        self.busy(organization, decide)
        monkeypatch.setattr(exports, "PAGE", 4)  # several pages
        rows = read_csv(exports.statement_csv(organization.pk, "x", EVERYTHING))
        assert len(rows) == Transaction.objects.filter(organization=organization).count()
        total, held = self.ledger_sums(organization, NOON - DAY, NOON + 9 * DAY)
        assert sum(int(row["amount_micro"]) for row in rows) == total == sum(stored(organization).values())
        assert sum(int(row["held_change_micro"]) for row in rows) == held == stored(organization)["held"]
        assert int(rows[-1]["balance_after_micro"]) == total
        assert [int(row["line"]) for row in rows] == sorted(int(row["line"]) for row in rows)

    def test_a_span_of_it_too(self, organization, decide):
        self.busy(organization, decide)
        day = NOON.replace(hour=0)
        rows = read_csv(
            exports.statement_csv(organization.pk, "x", Filter(since=day + DAY, until=day + 2 * DAY))
        )
        total, _ = self.ledger_sums(organization, day + DAY, day + 2 * DAY)
        assert rows
        assert sum(int(row["amount_micro"]) for row in rows) == total

    def test_a_text_is_never_a_formula(self, organization):
        ledger.grant(organization.pk, 1, bucket="purchased", idempotency_key="f", reason="=1+1", at=NOON)
        (row,) = read_csv(exports.statement_csv(organization.pk, "x", EVERYTHING))
        assert row["reason"] == "'=1+1"
        assert (row["amount_credits"], row["amount_micro"]) == ("0.000001", "1")


def test_every_reason_code_has_its_words():
    assert set(reasons.HAPPENED) == {rule.reason_code for rule in RULES}

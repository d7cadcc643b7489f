"""What an organization has and every line of how it came to that, in a bounded number of queries."""

from datetime import UTC, datetime, timedelta

from accounts.models import Organization
from billing import statement
from billing.models import Transaction, Wallet
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization, promote, stored

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
        with django_assert_num_queries(4):
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

    def test_only_its_own(self, organization, decide):
        buy(organization, 1)
        assert statement.lines(new_organization().pk) == []

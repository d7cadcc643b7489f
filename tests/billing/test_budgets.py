"""The customer's own budgets: counted under the wallet's lock, told once, given back with what is released."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts import keys
from accounts.errors import ApiError
from accounts.models import OutboxEvent
from billing import access, budgets
from billing.models import Budget, BudgetMonth, Hold, Notice
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, new_organization, run_sql

NOVEMBER = NOON.date().replace(day=1)


@pytest.fixture
def member(organization, django_user_model):
    return django_user_model.objects.create_user("member@example.com", "x")


@pytest.fixture
def key(organization, member):
    return keys.create(organization, "test", ["generate"], member)[0]


def used(budget: Budget) -> int:
    return BudgetMonth.objects.get(budget=budget).used_micro


def finish(hold, units: float, outcome: str = "delivered") -> None:
    settle(
        hold.pk,
        outcome=outcome,
        units_micro=round(units * UNIT),
        quantity=1,
        subject=hold.subject,
        reason_code=outcome,
        at=NOON,
    )


def test_a_request_counts_against_each_budget_that_is_its_own(organization, decide, bare_terms, member, key):
    buy(organization, 100)
    everything = budgets.set_budget(organization.pk, "organization", 50 * CREDIT)
    hers = budgets.set_budget(organization.pk, "member", 20 * CREDIT, user_id=member.pk)
    of_key = budgets.set_budget(organization.pk, "key", 10 * CREDIT, api_key_id=key.pk)
    decide(10, terms=bare_terms)
    decide(20, terms=bare_terms, user_id=member.pk)
    decide(30, terms=bare_terms, user_id=member.pk, api_key_id=key.pk)
    assert (used(everything), used(hers), used(of_key)) == (18 * CREDIT, 15 * CREDIT, 9 * CREDIT)
    refused = decide(10, terms=bare_terms, user_id=member.pk, api_key_id=key.pk)
    assert refused.code == "budget_exceeded"
    assert [layer["outcome"] for layer in refused.layers if layer["layer"].startswith("budget")] == [
        "passed",
        "passed",
        "refused",
    ]
    assert (used(everything), used(hers), used(of_key)) == (18 * CREDIT, 15 * CREDIT, 9 * CREDIT)
    assert decide(10, terms=bare_terms, user_id=member.pk).allowed
    assert reconcile().drift == ()


def test_what_is_released_comes_back_and_what_is_captured_stays(organization, decide, bare_terms):
    buy(organization, 100)
    budget = budgets.set_budget(organization.pk, "organization", 50 * CREDIT)
    finish(decide(30, terms=bare_terms).hold, 10)
    assert used(budget) == 3 * CREDIT
    finish(decide(30, terms=bare_terms).hold, 0, outcome="failed")
    assert used(budget) == 3 * CREDIT
    assert reconcile().drift == ()


def test_a_budget_set_in_the_middle_of_a_month_counts_what_was_before(organization, decide, bare_terms):
    buy(organization, 100)
    open_before = decide(30, terms=bare_terms).hold
    finish(decide(30, terms=bare_terms).hold, 10)
    budget = budgets.set_budget(organization.pk, "organization", 15 * CREDIT)
    assert budgets.used_by_budget([budget], NOON) == {budget.pk: 12 * CREDIT}
    assert decide(11, terms=bare_terms).code == "budget_exceeded"
    assert decide(10, terms=bare_terms).allowed
    assert used(budget) == 15 * CREDIT
    finish(open_before, 0, outcome="failed")
    assert used(budget) == 6 * CREDIT
    assert reconcile().drift == ()


def test_a_new_month_begins_at_nothing_and_late_releases_belong_to_the_old_one(
    organization, decide, bare_terms
):
    buy(organization, 100)
    budget = budgets.set_budget(organization.pk, "organization", 10 * CREDIT)
    hold = decide(30, terms=bare_terms).hold
    december = datetime(2026, 12, 1, tzinfo=UTC)
    assert decide(30, terms=bare_terms).code == "budget_exceeded"
    assert decide(30, terms=bare_terms, now=december).allowed
    finish(hold, 0, outcome="failed")
    assert dict(BudgetMonth.objects.filter(budget=budget).values_list("month__month", "used_micro")) == {
        11: 0,
        12: 9 * CREDIT,
    }
    assert reconcile().drift == ()


def test_the_soft_share_and_the_end_are_told_once_each(organization, decide, bare_terms):
    buy(organization, 1000)
    budgets.set_budget(organization.pk, "organization", 10 * CREDIT, soft_percent=50, hard_stop=False)
    told = []
    for _ in range(6):
        decide(10, terms=bare_terms)
        told.append(Notice.objects.count())
    assert told == [0, 1, 1, 2, 2, 2]
    assert list(Notice.objects.order_by("pk").values_list("kind", flat=True)) == [
        "budget_alert",
        "budget_reached",
    ]
    topics = OutboxEvent.objects.filter(topic__startswith="budget.").order_by("pk")
    assert list(topics.values_list("topic", flat=True)) == ["budget.alert", "budget.reached"]


def test_a_stop_is_told_once_however_often_it_stops(organization, decide, bare_terms):
    buy(organization, 1000)
    budgets.set_budget(organization.pk, "organization", CREDIT)
    for _ in range(3):
        assert decide(10, terms=bare_terms).code == "budget_exceeded"
    assert list(Notice.objects.values_list("kind", flat=True)) == ["budget_reached"]


def test_a_removed_budget_stops_nothing_and_a_settlement_after_it_works(organization, decide, bare_terms):
    buy(organization, 100)
    budget = budgets.set_budget(organization.pk, "organization", 5 * CREDIT)
    hold = decide(10, terms=bare_terms).hold
    budgets.remove_budget(organization.pk, budget.pk)
    after = decide(100, terms=bare_terms).hold
    finish(hold, 0, outcome="failed")
    finish(after, 0, outcome="failed")
    assert Hold.objects.filter(state="open").count() == 0
    with pytest.raises(ApiError, match="no such budget"):
        budgets.remove_budget(organization.pk, budget.pk)


def test_the_error_says_it_is_the_customers_own_budget(organization, decide, bare_terms):
    buy(organization, 100)
    budgets.set_budget(organization.pk, "organization", CREDIT)
    error = access.refusal(decide(10, terms=bare_terms))
    assert (error.code, error.status, error.type) == ("budget_exceeded", 429, "insufficient_quota")
    assert error.response_headers()["X-Should-Retry"] == "false"


def test_a_quote_knows_the_budget(organization, bare_terms):
    buy(organization, 100)
    budgets.set_budget(organization.pk, "organization", CREDIT)
    quote = access.quote(
        organization.pk, 10 * UNIT, NOON + timedelta(seconds=1), operation="clip", terms=bare_terms
    )
    assert quote.verdict.code == "budget_exceeded"


def test_the_database_keeps_one_budget_each_and_none_for_a_foreign_key(organization, key):
    budgets.set_budget(organization.pk, "organization", CREDIT)
    insert = "INSERT INTO billing_budget (organization_id, scope, amount_micro, soft_percent, hard_stop, api_key_id)"
    with pytest.raises(IntegrityError, match="budget_of_organization_once"), transaction.atomic():
        run_sql(f"{insert} VALUES (%s, 'organization', 1, 80, true, NULL)", organization.pk)
    with pytest.raises(IntegrityError, match="another organization"), transaction.atomic():
        run_sql(f"{insert} VALUES (%s, 'key', 1, 80, true, %s)", new_organization().pk, key.pk)
    with pytest.raises(IntegrityError, match="budget_of_its_scope"), transaction.atomic():
        run_sql(f"{insert} VALUES (%s, 'organization', 1, 80, true, %s)", organization.pk, key.pk)

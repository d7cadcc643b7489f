"""Post-paid use up to a contract limit: a bucket per month, an invoice of what was taken from it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing import corrections, invoices
from billing.models import Account, Entry, Invoice, Notice, OverageContract, Transaction
from billing.overage import State, ends_at, roll
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, buy, run_sql, stored

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def contract(organization, credits: float, since: datetime = NOON - timedelta(days=1)) -> OverageContract:
    return OverageContract.objects.create(
        organization=organization,
        limit_month_micro=round(credits * CREDIT),
        effective_from=since,
        author="test",
        reason="test",
    )


def finish(hold, units: float, at: datetime = NOON, outcome: str = "delivered"):
    return settle(
        hold.pk,
        outcome=outcome,
        units_micro=round(units * UNIT),
        quantity=1,
        subject=hold.subject,
        reason_code=outcome,
        at=at,
    )


class TestRoll:
    def test_opens_the_limit_once_a_month(self):
        first = roll(State(None, 0, 0), date(2026, 11, 21), 50)
        assert (first.grant, first.withdraw, first.state) == (50, 0, State(date(2026, 11, 1), 50, 50))
        assert roll(first.state, date(2026, 11, 30), 50).grant == 0
        assert roll(State(date(2026, 11, 1), 50, 20), date(2026, 12, 1), 50).grant == 50

    def test_a_raise_counts_at_once_and_a_cut_takes_back_what_is_unused(self):
        used_30 = State(date(2026, 11, 1), 50, 20)
        assert roll(used_30, date(2026, 11, 21), 80).state == State(date(2026, 11, 1), 80, 50)
        assert roll(used_30, date(2026, 11, 21), 40).state == State(date(2026, 11, 1), 40, 10)
        assert roll(used_30, date(2026, 11, 21), 0).state == State(date(2026, 11, 1), 30, 0)

    def test_a_month_ends_with_the_year_too(self):
        assert ends_at(date(2026, 12, 1)) == datetime(2027, 1, 1, tzinfo=UTC)

    @given(st.lists(st.integers(0, 100), min_size=1, max_size=10), st.lists(st.integers(0, 30), max_size=10))
    def test_never_more_is_open_than_the_limit_leaves(self, limits, uses):
        state, used = State(None, 0, 0), 0
        for limit, use in zip(limits, [*uses, *[0] * len(limits)], strict=False):
            state = roll(state, date(2026, 11, 21), limit).state
            assert state.balance == max(0, limit - used)
            taken = min(use, state.balance)
            state, used = State(state.month, state.granted, state.balance - taken), used + taken


def test_is_drawn_after_all_credits_and_never_above_its_limit(organization, decide, bare_terms):
    contract(organization, 20)
    buy(organization, 3)
    decision = decide(30, terms=bare_terms)  # 9 credits
    assert [(part.account.kind, part.amount) for part in decision.hold.parts.select_related("account")] == [
        ("purchased", 3 * CREDIT),
        ("overage", 6 * CREDIT),
    ]
    assert decision.remaining["overage"] == 14 * CREDIT
    refused = decide(50, terms=bare_terms)
    assert (refused.code, refused.would_allow) == ("credit_balance_exhausted", "1.00 credits more.")


def test_a_month_is_invoiced_once_its_work_is_settled(organization, decide, bare_terms):
    contract(organization, 20)
    done = decide(30, terms=bare_terms).hold
    late = decide(10, terms=bare_terms).hold
    finish(done, 20)  # 6 of 9 credits
    assert invoices.issue_due(DECEMBER) == 0  # one hold is open
    finish(late, 10, at=DECEMBER + timedelta(hours=1))  # 3 credits, still November's
    assert invoices.issue_due(NOON) == 0
    assert invoices.issue_due(DECEMBER + timedelta(hours=2)) == 1
    assert invoices.issue_due(DECEMBER + timedelta(hours=3)) == 0
    invoice = Invoice.objects.get()
    assert (invoice.month, invoice.amount_micro, invoice.amount_cents, invoice.state) == (
        date(2026, 11, 1),
        9 * CREDIT,
        9,
        "open",
    )
    assert Account.objects.get(kind="overage", organization=organization).balance == 0
    assert Notice.objects.get().kind == "invoice"
    assert reconcile().drift == ()


def test_what_comes_back_after_the_month_is_not_spent_again(organization, decide, bare_terms):
    contract(organization, 20)
    hold = decide(30, terms=bare_terms).hold
    decide(1, terms=bare_terms, now=DECEMBER + timedelta(hours=1))
    finish(hold, 0, at=DECEMBER + timedelta(hours=2), outcome="failed")
    november = Account.objects.get(kind="overage", organization=organization, expires_at=DECEMBER)
    assert november.balance == 0
    assert invoices.used_micro(november) == 0


def test_an_invoice_is_paid_once_and_its_debt_becomes_cash(
    organization, decide, bare_terms, django_user_model
):
    contract(organization, 20)
    finish(decide(30, terms=bare_terms).hold, 30)
    invoices.issue_due(DECEMBER)
    admin = django_user_model.objects.create_user("admin@example.com", "x")
    paid = invoices.mark_paid(Invoice.objects.get().pk, by=admin, note="wire")
    assert sorted(paid.transaction.entries.values_list("account__kind", "amount")) == [
        ("cash", -9 * CREDIT),
        ("overage", 9 * CREDIT),
    ]
    with pytest.raises(Exception, match="invoice is paid"):
        invoices.mark_paid(paid.pk, by=admin, note="again")
    assert Transaction.objects.filter(kind="invoice").count() == 1
    assert reconcile().drift == ()


def test_a_refund_before_the_invoice_lowers_it_and_after_it_becomes_promotional(
    organization, decide, bare_terms
):
    contract(organization, 20)
    charge = finish(decide(30, terms=bare_terms).hold, 30)
    about = {"reason": "test", "actor": None}
    corrections.refund_charge(charge.pk, 2 * CREDIT, idempotency_key="a", at=NOON, **about)
    assert (stored(organization)["promotional"], stored(organization)["overage"]) == (0, 13 * CREDIT)
    invoices.issue_due(DECEMBER)
    assert Invoice.objects.get().amount_micro == 7 * CREDIT
    corrections.refund_charge(charge.pk, CREDIT, idempotency_key="b", at=DECEMBER, **about)
    assert Account.objects.get(organization=organization, kind="promotional").balance == CREDIT
    assert Entry.objects.filter(account__kind="revenue", amount__lt=0).count() == 2


def test_the_database_refuses_an_invoice_of_another_amount(organization, decide, bare_terms):
    row = contract(organization, 20)
    finish(decide(30, terms=bare_terms).hold, 30)
    decide(1, terms=bare_terms, now=DECEMBER)  # what November left unused goes back
    account = Account.objects.get(kind="overage", organization=organization, expires_at=DECEMBER)
    insert = """INSERT INTO billing_invoice (organization_id, contract_id, account_id, month, amount_micro,
        amount_cents, state, note, issued_at) VALUES (%s, %s, %s, '2026-11-01', %s, 1, 'open', '', now())"""
    for amount in (9 * CREDIT - 1, 9 * CREDIT + 1):
        with pytest.raises(DatabaseError, match="used were"), transaction.atomic():
            run_sql(insert, organization.pk, row.pk, account.pk, amount)
    run_sql(insert, organization.pk, row.pk, account.pk, 9 * CREDIT)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        run_sql("UPDATE billing_invoice SET amount_micro = 1")

"""What a decision reads under the lock: the key's rate, a top-up that would help, the low balance; what it writes."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts import batch, keys, tiers
from billing import access, decisions, snapshots
from billing.books import wallet_for
from billing.models import (
    AutoTopUp,
    Decision,
    Hold,
    Notice,
    PaymentCustomer,
    RateRefusals,
    Wallet,
)
from tests.billing.conftest import CREDIT, NOON, asking, buy, new_organization


@pytest.fixture
def key(organization, django_user_model):
    return keys.create(
        organization, "k", ["generate"], django_user_model.objects.create_user("k@example.com")
    )[0]


def test_a_key_has_its_own_window_on_the_wallet(organization, decide, bare_terms, key):
    buy(organization, 100)
    bare_terms.requests_per_minute_key = 2
    allowed = [decide(1, terms=bare_terms, api_key_id=key.pk).allowed for _ in range(3)]
    assert allowed == [True, True, False]
    assert list(Wallet.objects.get().key_rates) == [str(key.pk)]
    assert decide(1, terms=bare_terms).allowed  # the organization's own is not used up
    error = access.refusal(Decision.objects.get(allowed=False))
    assert error.headers["x-ratelimit-limit-requests"] == "2"
    later = NOON + timedelta(minutes=3)
    assert decide(1, terms=bare_terms, api_key_id=key.pk, now=later).allowed
    assert decide(1, terms=bare_terms, now=later + timedelta(minutes=3)).allowed
    assert Wallet.objects.get().key_rates == {}  # what is over is dropped


def test_refusals_of_other_kinds_use_up_no_window(organization, decide, bare_terms, key):
    bare_terms.requests_per_minute_key = 1
    for _ in range(3):
        assert decide(1, terms=bare_terms, api_key_id=key.pk).code == "credit_balance_exhausted"
    assert Wallet.objects.get().key_rates == {}
    assert Decision.objects.count() == 3


def test_a_flood_writes_one_decision_and_one_count_a_minute(organization, decide):
    for _ in range(10):
        decide(1)
    refused = [decide(1) for _ in range(5)]
    assert {decision.pk for decision in refused} == {Decision.objects.get(allowed=False).pk}
    assert refused[4].retry_after_s == 6.0
    row = RateRefusals.objects.get()
    assert (row.refused, row.minute, row.decision_id) == (5, NOON, refused[0].pk)
    assert decisions.refused_alike(decisions.find(organization.pk, refused[0].pk)) == 5
    later = NOON + timedelta(minutes=1)
    for _ in range(10):
        assert decide(1, now=later).code == "concurrency_limit_exceeded"  # ten jobs are open
    assert (RateRefusals.objects.count(), Decision.objects.filter(allowed=False).count()) == (1, 11)


def test_a_top_up_that_is_switched_on_is_a_layer(organization, decide, bare_terms):
    customer = PaymentCustomer.objects.create(
        organization=organization, provider="stand-in", provider_id="c", method_id="m"
    )
    top_up = AutoTopUp.objects.create(
        organization=organization,
        customer=customer,
        pack_slug="starter",
        threshold_micro=0,
        monthly_cap_cents=10_000,
        state="on",
    )
    decision = decide(10, terms=bare_terms)
    assert (decision.allowed, decision.top_up_helps) == (False, True)
    assert decision.layers[-1]["layer"] == "automatic_top_up"
    with transaction.atomic():
        again = access.decide_and_hold(asking(organization, 10), bare_terms, NOON, top_up_tried=True)
    assert (again.top_up_helps, again.layers[-1]["layer"]) == (False, "purchased")
    top_up.state = "paused"
    top_up.save()
    assert not decide(10, terms=bare_terms).top_up_helps


def test_a_low_balance_is_told_once_until_it_rises(organization, decide, bare_terms):
    Wallet.objects.filter(pk=buy(organization, 5).organization_id).update(low_balance_micro=4 * CREDIT)
    told = []
    for _ in range(5):
        decide(1, terms=bare_terms)
        told.append(Notice.objects.filter(kind="low_balance").count())
    assert told == [0, 0, 0, 1, 1]
    assert Wallet.objects.get().low_balance_told
    buy(organization, 5)
    assert not Wallet.objects.get().low_balance_told


def test_the_lock_comes_first_in_the_one_query_that_reads(organization, monkeypatch):
    queries, own = [], batch.run
    monkeypatch.setattr(batch, "run", lambda statements: queries.append(statements) or own(statements))
    wallet_for(organization.pk)
    snapshots.open_for([snapshots.Asked(organization.pk, None, None, "clip", "s", NOON)])
    assert [sql.strip().endswith("FOR UPDATE") for query in queries for sql, _ in query].index(True) == 0
    assert len(queries) == 1


def test_what_is_read_after_the_lock_is_what_the_lock_protects(committed):
    """Two decisions on one last credit: the second waits, and then sees what the first one did."""
    organization = new_organization()
    terms = tiers.terms_for(organization.pk, NOON)
    terms.allowance_day_micro = terms.allowance_month_micro = None
    buy(organization, 0.3)
    ready, allowed = threading.Barrier(8), []

    def ask() -> None:
        try:
            ready.wait(10)
            with transaction.atomic():
                allowed.append(access.decide_and_hold(asking(organization, 1), terms, NOON).allowed)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(allowed) == [False] * 7 + [True]
    assert Hold.objects.count() == 1

"""One decision per request: stored, with its hold, in a bounded number of queries; a refusal takes nothing."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.errors import ApiError
from accounts.models import User
from billing import access, ledger
from billing.models import Decision, Entry, Hold, PriceVersion, Transaction, UsageEvent, Wallet
from tests.billing.conftest import (
    CREDIT,
    NOON,
    UNIT,
    UNIT_PRICE,
    asking,
    buy,
    new_organization,
    promote,
    stored,
)


def round_trips(queries) -> int:
    """Without savepoints of the test's own transaction, and what a connection prepares once."""
    own = ("SAVEPOINT", "RELEASE", "ROLLBACK", "PREPARE")
    return len([query for query in queries if not query["sql"].startswith(own)])


def test_allowed_draws_on_several_layers_and_holds_them(organization, decide):
    buy(organization, 10)
    promote(organization, 2, NOON + timedelta(days=3))
    decision = decide(60, subject="job:a")
    assert decision.allowed
    assert decision.quote_micro == 18 * CREDIT
    hold = Hold.objects.get(subject="job:a")
    assert decision.hold == hold
    assert (hold.state, hold.amount, hold.captured, hold.units_micro) == ("open", 18 * CREDIT, 0, 60 * UNIT)
    parts = [(part.account.kind, part.amount) for part in hold.parts.select_related("account")]
    assert parts == [("allowance", 15 * CREDIT), ("promotional", 2 * CREDIT), ("purchased", 1 * CREDIT)]
    assert stored(organization) == {
        "purchased": 9 * CREDIT,
        "allowance": 0,
        "promotional": 0,
        "held": 18 * CREDIT,
    }


def test_decision_is_stored_with_everything_it_was_taken_under(organization, decide, terms):
    decide(10, subject="job:a")
    decision = Decision.objects.get()
    assert decision.price_version == PriceVersion.objects.get(operation="clip")
    assert decision.price_version.micro_per_unit == UNIT_PRICE
    assert (decision.terms, decision.rules_version) == (terms, 2)
    assert decision.remaining == {
        "allowance": 12 * CREDIT,
        "promotional": 0,
        "purchased": 0,
        "available": 12 * CREDIT,
        "held": 3 * CREDIT,
    }
    assert [layer["layer"] for layer in decision.layers] == [
        "requests_per_minute",
        "open_jobs",
        "units_in_flight",
        "allowance",
        "purchased",
    ]
    assert decision.layers[3] == {
        "layer": "allowance",
        "unit": "micro_credits",
        "limit": 15 * CREDIT,
        "used": 0,
        "asked": 3 * CREDIT,
        "taken": 3 * CREDIT,
        "remaining": 12 * CREDIT,
        "outcome": "taken",
    }


def test_refused_for_credit_is_stored_and_takes_nothing(organization, decide):
    decide(1)
    tat = Wallet.objects.get(pk=organization.pk).rate_tat
    before, entries = stored(organization), Entry.objects.count()
    decision = decide(60, subject="job:refused")
    assert not decision.allowed
    assert decision.hold is None
    assert Decision.objects.get(subject="job:refused").code == "credit_balance_exhausted"
    assert stored(organization) == before
    assert Entry.objects.count() == entries
    assert not Hold.objects.filter(subject="job:refused").exists()
    assert Wallet.objects.get(pk=organization.pk).rate_tat == tat


def test_requests_per_minute(organization, decide):
    allowed = [decide(1).allowed for _ in range(10)]
    assert allowed == [True] * 10
    tat = Wallet.objects.get(pk=organization.pk).rate_tat
    decision = decide(1)
    # Ten jobs are open as well; the rate is looked at first.
    assert decision.code == "rate_limit_exceeded"
    assert decision.retry_after_s == 6.0
    assert Wallet.objects.get(pk=organization.pk).rate_tat == tat
    error = access.refusal(decision)
    assert error.decision_id == str(decision.pk)
    assert error.response_headers() == {
        "x-backlot-decision": f"/decisions/{decision.pk}",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "6.000s",
        "Retry-After": "6",
    }


def test_open_jobs_and_units_in_flight_are_those_of_open_holds(organization, decide, terms):
    terms.max_open, terms.units_in_flight_micro = 2, 20 * UNIT
    first = decide(5)
    decide(5)
    assert decide(1).code == "concurrency_limit_exceeded"
    with transaction.atomic():
        books = ledger.open_books(organization.pk)
        ledger.release(books, first.hold, reason="test", at=NOON)
    assert decide(15).allowed
    terms.max_open = 10
    refused = decide(1)
    assert refused.code == "concurrency_limit_exceeded"
    assert [layer["outcome"] for layer in refused.layers[:3]] == ["passed", "passed", "refused"]


def test_terms_without_an_allowance_include_nothing(organization, decide, bare_terms):
    assert decide(1, terms=bare_terms).code == "credit_balance_exhausted"
    assert not Transaction.objects.exists()


def test_the_same_subject_again_returns_the_first_decision(organization, decide):
    first = decide(5, subject="job:a")
    again = decide(5, subject="job:a")
    assert again == first
    assert again.hold == first.hold
    assert (Decision.objects.count(), Hold.objects.count()) == (1, 1)
    assert stored(organization)["held"] == 1.5 * CREDIT


def test_the_same_subject_with_other_contents_is_refused(organization, decide):
    decide(5, subject="job:a")
    with pytest.raises(ApiError) as caught:
        decide(6, subject="job:a")
    assert caught.value.code == "idempotency_key_reused"
    assert Decision.objects.count() == 1


def test_a_refused_subject_is_decided_anew(organization, decide):
    assert not decide(60, subject="job:a").allowed
    buy(organization, 10)
    assert decide(60, subject="job:a").allowed


def test_the_newest_price_in_force_counts(organization, decide):
    PriceVersion.objects.create(
        operation="clip", micro_per_unit=600_000, effective_from=NOON, author="test", reason="dearer"
    )
    PriceVersion.objects.create(
        operation="clip",
        micro_per_unit=1,
        effective_from=NOON + timedelta(hours=1),
        author="test",
        reason="later",
    )
    assert decide(10, now=NOON - timedelta(seconds=1)).quote_micro == 3 * CREDIT
    assert decide(10).quote_micro == 6 * CREDIT
    assert decide(10, operation="code").quote_micro == 3 * CREDIT


def test_a_price_of_nothing_holds_nothing_and_still_has_a_hold(organization, decide, bare_terms):
    PriceVersion.objects.create(
        operation="code", micro_per_unit=0, effective_from=NOON, author="test", reason="free"
    )
    decision = decide(10, operation="code", terms=bare_terms)
    assert decision.allowed
    assert (decision.hold.amount, decision.hold.parts.count()) == (0, 0)
    assert not Transaction.objects.exists()


def test_first_use_and_later_use_take_a_bounded_number_of_queries(organization, terms):
    buy(organization, 1000)
    for number in range(20):
        promote(organization, 0.1, NOON + timedelta(days=1 + number))
    counts = []
    for units in (1, 90):  # the second draws on the allowance, twenty promotions and purchased credits
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            decision = access.decide_and_hold(asking(organization, units), terms, NOON)
        assert decision.allowed
        counts.append(round_trips(queries))
    assert len(decision.hold.parts.all()) == 22
    # Lock and read, then write; the first use of a day posts its allowance between the two.
    assert counts == [4, 2]


def test_expired_promotions_are_posted_back_in_one_sweep(organization, decide):
    promote(organization, 4, NOON + timedelta(hours=1))
    promote(organization, 5, NOON + timedelta(hours=3))
    decide(1, now=NOON + timedelta(hours=2))
    assert stored(organization)["promotional"] == 5 * CREDIT
    expiry = Transaction.objects.get(kind="expiry")
    assert sorted(expiry.entries.values_list("account__kind", "amount")) == [
        ("grants", 4 * CREDIT),
        ("promotional", -4 * CREDIT),
    ]


def test_quote_says_what_it_would_cost_and_writes_nothing(organization):
    with CaptureQueriesContext(connection) as queries:
        quote = access.quote(organization.pk, 10 * UNIT, NOON, operation="clip")
    assert round_trips(queries) == 2  # the terms, then all the rest
    assert quote.allowed
    assert (quote.amount_micro, quote.available_micro) == (3 * CREDIT, 15 * CREDIT)
    assert quote.message == "At most 3.00 credits: 3.00 from the included allowance."
    assert not Wallet.objects.filter(pk=organization.pk).exists()
    refused = access.quote(organization.pk, 60 * UNIT, NOON, operation="clip")
    assert not refused.allowed
    assert refused.message.endswith("What would be allowed: 3.00 credits more.")


def test_quote_and_decision_agree(organization, decide):
    buy(organization, 3)
    promote(organization, 1, NOON + timedelta(hours=1))
    later = NOON + timedelta(hours=2)
    quote = access.quote(organization.pk, 40 * UNIT, later, operation="clip")
    decision = decide(40, now=later)
    assert quote.amount_micro == decision.quote_micro
    assert quote.verdict.layer_rows() == decision.layers


def test_outside_a_database_transaction_nothing_is_decided(committed):
    organization = new_organization()
    with pytest.raises(transaction.TransactionManagementError):
        access.decide_and_hold(asking(organization, 1), None, NOON)


def test_another_organizations_decision_is_not_found(organization, decide):
    decision = decide(1)
    assert access.find_decision(organization.pk, str(decision.pk)) == decision
    stranger = new_organization()
    for wanted in (str(decision.pk), "no-uuid"):
        with pytest.raises(ApiError) as caught:
            access.find_decision(stranger.pk, wanted)
        assert caught.value.code == "not_found"


def test_who_asked_is_kept(organization, decide):
    user = User.objects.create(email="who@example.com")
    assert Decision.objects.get(pk=decide(1, user_id=user.pk).pk).user == user
    assert not UsageEvent.objects.exists()

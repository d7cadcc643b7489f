"""Decisions of one wallet that are taken under one lock: the same, to the last field, as one after the other."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import tiers
from billing import access, budgets
from billing.models import Account, BudgetMonth, Decision, Hold, Notice, RateRefusals, Wallet
from billing.reconciliation import reconcile
from tests.billing.conftest import CREDIT, NOON, asking, buy, new_organization, promote, run_sql

pytestmark = pytest.mark.django_db

requests = st.lists(
    st.tuples(st.floats(0.01, 9), st.sampled_from(["clip", "code"]), st.integers(0, 3_000)),
    min_size=1,
    max_size=7,
)


def stage(purchased: float, promoted: float, budget: float | None):
    organization = new_organization()
    if purchased:
        buy(organization, purchased)
    if promoted:
        promote(organization, promoted, NOON + timedelta(seconds=2))
    if budget is not None:
        budgets.set_budget(organization.pk, "organization", round(budget * CREDIT), soft_percent=50)
    Wallet.objects.filter(pk=organization.pk).update(low_balance_micro=2 * CREDIT)
    terms = tiers.terms_for(organization.pk, NOON)
    terms.requests_per_minute, terms.max_open = 5, 4
    return organization, terms


def questions(organization, terms, asked) -> list[access.Question]:
    """In the order of their clocks, as nearly all come."""
    asked = sorted(asked, key=lambda one: one[2])
    return [
        access.Question(
            asking(organization, units, f"job:{place}", operation=operation),
            terms,
            NOON + timedelta(milliseconds=ms),
        )
        for place, (units, operation, ms) in enumerate(asked)
    ]


def told(decision: Decision) -> tuple:
    hold = decision.hold
    about = (decision.allowed, decision.code, decision.message, decision.would_allow, decision.retry_after_s)
    parts = [(part.position, part.amount, part.account.kind) for part in hold.parts.all()] if hold else None
    return (*about, decision.layers, decision.remaining, hold and hold.amount, parts)


def left(organization) -> tuple:
    accounts = Account.objects.filter(organization=organization).order_by("kind", "expires_at")
    wallet = Wallet.objects.get(pk=organization.pk)
    return (
        list(accounts.values_list("kind", "balance")),
        (wallet.rate_tat, wallet.low_balance_told, wallet.allowance_day, wallet.allowance_day_granted),
        list(
            BudgetMonth.objects.filter(budget__organization=organization).values_list("used_micro", flat=True)
        ),
        sorted(Notice.objects.filter(organization=organization).values_list("kind", "message")),
        list(RateRefusals.objects.filter(organization=organization).values_list("cause", "refused")),
        Hold.objects.filter(organization=organization).count(),
        Decision.objects.filter(organization=organization).count(),
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=requests,
    purchased=st.sampled_from([0, 1, 3, 30]),
    promoted=st.sampled_from([0, 2]),
    budget=st.sampled_from([None, 2, 4]),
)
def test_a_group_decides_as_one_after_the_other(db, asked, purchased, promoted, budget):
    with transaction.atomic():
        one, together = stage(purchased, promoted, budget), stage(purchased, promoted, budget)
        latest = max(ms for _, _, ms in asked)
        alone = []
        for question in questions(*one, asked):
            with transaction.atomic():
                # What ran out before the last of a group is gone for all of it: it is decided after that moment.
                alone += access.decide_each([replace(question, now=_not_before(question.now, latest))])
        with transaction.atomic():
            grouped = access.decide_each(
                [replace(q, now=_not_before(q.now, latest)) for q in questions(*together, asked)]
            )
        assert [told(decision) for decision in alone] == [told(decision) for decision in grouped]
        assert left(one[0]) == left(together[0])
        run_sql("SELECT")
        assert reconcile().drift == ()
        # What was made goes again: at the test's end the deferred checks would look at all examples at once.
        transaction.set_rollback(True)


def _not_before(now, latest_ms: int):
    """Two seconds are the end of the promotion: a group stands on one side of it."""
    end = NOON + timedelta(seconds=2)
    return max(now, end) if NOON + timedelta(milliseconds=latest_ms) >= end else now


def test_the_same_subject_twice_in_a_group_is_refused_whole(organization, terms):
    """It cannot be both: the database holds that a subject is held once, and the caller tries each alone."""
    one = access.Question(asking(organization, 1, "job:same"), terms, NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        access.decide_each([one, one])
    assert not Decision.objects.filter(organization=organization).exists()

"""Eight threads on one wallet: nothing is ever granted, held or charged twice, and no credit is spent twice."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection, transaction

from accounts import batch, tiers
from accounts.errors import ApiError
from billing import access, ledger
from billing.models import Account, Charge, Decision, Hold, Transaction, UsageEvent
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, asking, buy, new_organization, stored

THREADS = 8


def together(work: Callable[[int], object]) -> list:
    """Run work(0) … work(7) at the same moment; a failure of any is a failure of the test."""
    barrier = Barrier(THREADS)

    def run(number: int) -> object:
        try:
            barrier.wait(timeout=20)
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def roomy(organization):
    terms = tiers.terms_for(organization.pk, NOON)
    terms.allowance_day_micro = terms.allowance_month_micro = None
    terms.requests_per_minute, terms.max_open, terms.units_in_flight_micro = 10_000, 10_000, 10**12
    return terms


def decide(organization, terms, units: float, subject: str | None = None) -> Decision:
    with transaction.atomic():
        return access.decide_and_hold(asking(organization, units, subject), terms, NOON)


def test_the_wallet_is_locked_before_anything_is_read(organization, monkeypatch):
    asked, run = [], batch.run
    monkeypatch.setattr(batch, "run", lambda statements: asked.extend(statements) or run(statements))
    with transaction.atomic():
        ledger.open_books(organization.pk)
    first = asked[0][0]
    assert "billing_wallet" in first
    assert first.endswith("FOR UPDATE")


def test_holds_never_exceed_what_there_is(committed):
    organization = new_organization()
    terms = roomy(organization)
    buy(organization, 5)  # enough for 16 of the 48 requests of 1 unit

    decisions = together(lambda number: [decide(organization, terms, 1) for _ in range(6)])
    allowed = sum(decision.allowed for per_thread in decisions for decision in per_thread)
    assert allowed == 16
    assert Hold.objects.count() == 16
    assert Decision.objects.filter(code="credit_balance_exhausted").count() == 48 - 16
    assert stored(organization) == {
        "purchased": 200_000,
        "allowance": 0,
        "promotional": 0,
        "held": 16 * 300_000,
    }
    assert reconcile().drift == ()


def test_holding_and_settling_at_the_same_time(committed):
    organization = new_organization()
    terms = roomy(organization)
    buy(organization, 15)

    def work(number: int) -> int:
        chance, charged = random.Random(number), 0
        for _ in range(5):
            decision = decide(organization, terms, chance.choice([1, 5, 12]))
            if decision.allowed and chance.random() < 0.8:
                charged += settle_once(decision, chance).amount
        return charged

    charged = sum(together(work))
    balances = stored(organization)
    assert sum(balances.values()) + charged == 15 * CREDIT
    assert charged == sum(Charge.objects.values_list("amount", flat=True))
    assert balances["held"] == sum(Hold.objects.filter(state="open").values_list("amount", flat=True))
    assert reconcile().drift == ()


def settle_once(decision: Decision, chance: random.Random) -> Charge:
    return settle(
        decision.hold.pk,
        outcome=chance.choice(["delivered", "cancelled", "failed"]),
        units_micro=chance.randint(0, decision.units_micro),
        quantity=1,
        subject=decision.subject,
        reason_code="test",
        at=NOON,
    )


def test_one_piece_of_work_is_charged_once(committed):
    organization = new_organization()
    buy(organization, 10)
    decision = decide(organization, roomy(organization), 10, subject="job:a")

    def work(number: int) -> int:
        return settle(
            decision.hold.pk,
            outcome="delivered",
            units_micro=10 * UNIT,
            quantity=1,
            subject="job:a",
            reason_code="delivered",
            at=NOON,
        ).pk

    assert len(set(together(work))) == 1
    assert (Charge.objects.count(), UsageEvent.objects.count()) == (1, 1)
    assert stored(organization) == {"purchased": 7 * CREDIT, "allowance": 0, "promotional": 0, "held": 0}


def test_two_outcomes_at_once_one_wins_and_the_others_are_told(committed):
    organization = new_organization()
    buy(organization, 10)
    decision = decide(organization, roomy(organization), 10, subject="job:a")

    def work(number: int) -> str:
        outcome = "delivered" if number % 2 else "cancelled"
        fields = {
            "units_micro": 10 * UNIT,
            "quantity": 1,
            "subject": "job:a",
            "reason_code": outcome,
            "at": NOON,
        }
        try:
            return settle(decision.hold.pk, outcome=outcome, **fields).reason_code
        except ApiError as error:
            return error.code

    results = together(work)
    winner = UsageEvent.objects.get().outcome
    assert sorted(set(results)) == sorted([winner, "idempotency_key_reused"])
    assert results.count(winner) == THREADS // 2
    assert stored(organization)["purchased"] == 7 * CREDIT


def test_one_subject_is_held_once(committed):
    organization = new_organization()
    terms = roomy(organization)
    buy(organization, 10)
    decisions = together(lambda number: decide(organization, terms, 10, subject="job:a").pk)
    assert len(set(decisions)) == 1
    assert stored(organization)["held"] == 3 * CREDIT


def test_one_key_grants_once_and_a_wallet_opens_once(committed):
    organization = new_organization()

    def work(number: int) -> int:
        return ledger.grant(
            organization.pk, CREDIT, bucket="purchased", idempotency_key="k", reason="test", at=NOON
        ).pk

    assert len(set(together(work))) == 1
    assert stored(organization)["purchased"] == CREDIT
    assert Account.objects.filter(organization=organization).count() == 3


def test_a_day_rolls_once(committed):
    organization = new_organization()
    terms = tiers.terms_for(organization.pk, NOON)
    together(lambda number: decide(organization, terms, 1))
    assert Transaction.objects.filter(kind="allowance").count() == 1
    assert stored(organization) == {
        "purchased": 0,
        "allowance": 15 * CREDIT - 8 * 300_000,
        "promotional": 0,
        "held": 8 * 300_000,
    }

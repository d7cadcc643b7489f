"""A state machine of purchases against a plain model: events of the provider come twice, late and in any order, with
refunds, their failures and spending in between. The wallet is what a few lines of arithmetic say; the books reconcile.
"""

from dataclasses import dataclass, field

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.errors import ApiError
from billing import corrections, purchases
from billing.models import Payment, SandboxObject
from billing.reconciliation import reconcile
from billing.replay import replay
from tests.billing.conftest import CREDIT, NOON, new_organization, stored
from tests.faults.hammer import stage

PACK = 1_000 * CREDIT


@dataclass
class Purchase:
    """The model of one payment."""

    payment: Payment
    number: int
    ends: str  # how its dispute is decided, if there is one
    paid: bool = False
    refunds: dict[int, list] = field(default_factory=dict)  # number → [amount, failed]
    opened: bool = False  # its dispute was told as opened, or decided
    decided: bool = False
    taken: int | None = None  # by the dispute, while it stands

    @property
    def refunded(self) -> int:
        return sum(amount for amount, failed in self.refunds.values() if not failed)

    @property
    def state(self) -> str:
        if not self.paid:
            return "unpaid"
        if self.taken is not None:
            return "lost" if self.decided else "disputed"
        return "refunded" if self.refunded == PACK else "partly_refunded" if self.refunded else "paid"


class Purchases(RuleBasedStateMachine):
    bought = Bundle("bought")
    returned = Bundle("returned")

    @initialize()
    def start(self):
        self.organization = new_organization()
        self.purchased = self.owed = self.count = 0

    def key(self) -> int:
        self.count += 1
        return self.count

    @rule(target=bought, ends=st.sampled_from(["won", "lost"]))
    def order(self, ends):
        number = self.key()
        payment = stage.payment(self.organization, f"{self.organization.slug}-{number}")
        body = stage.intent_paid(payment) | {"latest_charge": None}
        SandboxObject.objects.create(pk=body["id"], kind="payment_intent", body=body)
        return Purchase(payment, number, ends)

    def hear(self, one: Purchase, name: str, kind: str, body: dict):
        stage.hear(f"{name}-{self.organization.slug}-{one.number}", kind, body)

    def money_came(self, one: Purchase):
        if one.paid:
            return
        one.paid = True
        self.purchased += PACK
        recovered = min(self.owed, self.purchased)
        self.purchased, self.owed = self.purchased - recovered, self.owed - recovered

    @rule(one=bought, event=st.sampled_from(["paid", "paid-too"]))
    def tell_paid(self, one, event):
        self.hear(one, event, "payment_intent.succeeded", stage.intent_paid(one.payment))
        self.money_came(one)

    @rule(one=bought)
    def tell_declined(self, one):
        """Of an earlier try, perhaps long after a later one was paid."""
        error = {"code": "card_declined", "message": "The card was declined."}
        body = stage.intent_paid(one.payment) | {"status": "requires_payment_method", "amount_received": 0}
        self.hear(one, "declined", "payment_intent.payment_failed", body | {"last_payment_error": error})

    def dispute(self, one: Purchase):
        amount = PACK - one.refunded
        unspent = min(amount, self.purchased)
        self.purchased -= unspent
        self.owed += amount - unspent
        one.taken = amount

    @rule(one=bought)
    def tell_disputed(self, one):
        """Also before it was told that there was a payment: the provider is asked then, and says that it was paid."""
        body = stage.dispute_of(one.payment, "needs_response")
        self.hear(one, "disputed", "charge.dispute.created", body)
        self.money_came(one)
        if not one.opened:
            self.dispute(one)
        one.opened = True

    @rule(one=bought)
    def tell_decided(self, one):
        """Perhaps before it was told that there was a dispute."""
        self.hear(one, "decided", "charge.dispute.closed", stage.dispute_of(one.payment, one.ends))
        self.money_came(one)
        if one.decided:
            return
        if one.ends == "lost" and not one.opened:
            self.dispute(one)
        if one.ends == "won" and one.taken is not None:
            settled = min(one.taken, self.owed)
            self.purchased, self.owed = self.purchased + one.taken - settled, self.owed - settled
            one.taken = None
        one.opened = one.decided = True

    @rule(target=returned, one=bought, credits=st.integers(1, 1_000))
    def refund(self, one, credits):
        number, amount = self.key(), credits * CREDIT
        allowed = one.state in ("paid", "partly_refunded") and amount <= min(
            PACK - one.refunded, self.purchased
        )
        asked = {"reason": "test", "idempotency_key": f"refund-{number}", "requested_by": None, "at": NOON}
        if not allowed:
            with pytest.raises(ApiError):
                purchases.begin_refund(one.payment.pk, amount, **asked)
            return one, None
        begun = purchases.begin_refund(one.payment.pk, amount, **asked)
        assert purchases.begin_refund(one.payment.pk, amount, **asked) == begun
        self.purchased -= amount
        one.refunds[begun.pk] = [amount, False]
        return one, begun.pk

    @rule(back=returned, failed=st.booleans())
    def tell_of_a_refund(self, back, failed):
        """Paid back, or not: the last word counts, and a refund that failed has failed."""
        one, number = back
        if number is None:
            return
        if not failed:
            purchases.refund_succeeded(number, provider_refund_id=f"re_{number}", at=NOON)
            return
        purchases.refund_failed(number, at=NOON)
        amount, before = one.refunds[number]
        self.purchased += 0 if before else amount
        one.refunds[number] = [amount, True]

    @rule(share=st.integers(1, 100))
    def spend(self, share):
        amount = self.purchased * share // 100
        if amount:
            asked = {"idempotency_key": f"spend-{self.key()}", "reason": "test", "actor": None, "at": NOON}
            corrections.adjust(self.organization.pk, -amount, **asked)
            self.purchased -= amount

    @rule(one=bought)
    def its_state_is_that_of_the_model(self, one):
        one.payment.refresh_from_db()
        state = one.payment.state
        assert ("unpaid" if state in ("created", "pending", "failed") else state) == one.state

    @invariant()
    def stored_balances_are_those_of_the_model(self):
        if hasattr(self, "organization"):
            found = stored(self.organization)
            assert (found["purchased"], found.get("receivable", 0)) == (self.purchased, -self.owed)

    def teardown(self):
        with connection.cursor() as cursor:  # the deferred checks, as every commit would make them
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        assert reconcile().drift == ()
        assert replay()[1] == []


def test_purchases_follow_the_model(db, settings):
    settings.PAYMENTS = "sandbox"
    run_state_machine_as_test(Purchases, settings=QUICK)


QUICK = settings(
    max_examples=8,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

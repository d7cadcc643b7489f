"""A state machine against a plain model: whatever the order of grants, holds, settlements, releases, replays and days,
the stored balances are what a few lines of arithmetic say, and reconciliation finds nothing.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accounts import tiers
from billing import access, ledger
from billing.models import Account, Hold
from billing.reconciliation import reconcile
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, UNIT_PRICE, asking, new_organization, stored

# Runs of the machine; the planted faults ask for more, since some show only in a rare order.
EXAMPLES = 8


@dataclass
class Wallet:
    """The model: what a wallet holds, in the simplest terms. Allowance caps are in micro-credits."""

    day_cap: int
    month_cap: int
    purchased: int = 0
    promotions: dict[int, list] = field(default_factory=dict)  # account → [expiry, left]
    day: date | None = None
    granted: int = 0
    allowance: int = 0
    used: dict[date, int] = field(default_factory=dict)  # allowance spent or held, by day
    held: dict[str, list] = field(default_factory=dict)  # subject → [(bucket, amount)] in order
    revenue: int = 0

    def use(self, now: datetime) -> None:
        self.promotions = {key: promo for key, promo in self.promotions.items() if promo[0] > now}
        today = now.date()
        if self.day is None or today > self.day:
            self.day, self.granted, self.allowance = today, 0, 0
        month = [
            d for d in self.used if d < self.day and (d.year, d.month) == (self.day.year, self.day.month)
        ]
        left_of_month = max(0, self.month_cap - sum(self.used[d] for d in month))
        more = max(0, min(self.day_cap, left_of_month) - self.granted)
        self.granted, self.allowance = self.granted + more, self.allowance + more

    def hold(self, subject: str, amount: int) -> bool:
        in_order = sorted(self.promotions, key=lambda key: (self.promotions[key][0], key))
        sources = [(self.day, self.allowance), *((key, self.promotions[key][1]) for key in in_order)]
        sources.append(("purchased", self.purchased))
        if sum(left for _, left in sources) < amount:
            return False
        self.held[subject] = []
        for bucket, left in sources:
            taken = min(left, amount)
            amount -= taken
            if taken:
                self.held[subject].append((bucket, taken))
                self.put(bucket, -taken)
        return True

    def put(self, bucket: object, amount: int) -> None:
        if bucket == "purchased":
            self.purchased += amount
        elif isinstance(bucket, date):
            self.used[bucket] = self.used.get(bucket, 0) - amount
            self.allowance += amount if bucket == self.day else 0
        elif bucket in self.promotions:
            self.promotions[bucket][1] += amount

    def resolve(self, subject: str, captured: int, now: datetime) -> None:
        self.revenue += captured
        for bucket, amount in self.held.pop(subject):
            taken = min(captured, amount)
            captured -= taken
            over = isinstance(bucket, int) and self.promotions.get(bucket, [now])[0] <= now
            if not over:
                self.put(bucket, amount - taken)

    def balances(self) -> dict[str, int]:
        return {
            "purchased": self.purchased,
            "promotional": sum(left for _, left in self.promotions.values()),
            "allowance": self.allowance,
            "held": sum(amount for parts in self.held.values() for _, amount in parts),
        }


class Money(RuleBasedStateMachine):
    holds = Bundle("holds")
    settled = Bundle("settled")
    grants = Bundle("grants")

    @initialize()
    def start(self):
        self.organization = new_organization()
        self.now, self.count = NOON, 0
        self.terms = tiers.terms_for(self.organization.pk, NOON)
        self.terms.requests_per_minute, self.terms.max_open = 10**6, 10**6
        self.terms.units_in_flight_micro = 10**15
        self.change_tier(50, 60)

    def change_tier(self, day: int, month: int):
        self.terms.allowance_day_micro, self.terms.allowance_month_micro = day * UNIT, month * UNIT
        caps = {"day_cap": day * UNIT_PRICE, "month_cap": month * UNIT_PRICE}
        self.wallet = Wallet(**{**getattr(self, "wallet", Wallet(0, 0)).__dict__, **caps})

    def key(self) -> str:
        self.count += 1
        return f"key:{self.count}"

    @rule(day=st.sampled_from([0, 10, 50, 80]), more=st.sampled_from([0, 10, 100]))
    def move_to_another_tier(self, day, more):
        self.change_tier(day, day + more)

    @rule(hours=st.sampled_from([1, 5, 24, 24, 24 * 9]))
    def wait(self, hours):
        self.now += timedelta(hours=hours)

    @rule(target=grants, amount=st.integers(1, 20 * CREDIT), hours=st.one_of(st.none(), st.integers(1, 60)))
    def grant(self, amount, hours):
        bucket, expires_at = (
            ("purchased", None) if hours is None else ("promotional", self.now + timedelta(hours=hours))
        )
        asked = {
            "amount_micro": amount,
            "bucket": bucket,
            "idempotency_key": self.key(),
            "expires_at": expires_at,
        }
        posted = ledger.grant(self.organization.pk, reason="test", at=self.now, **asked)
        if hours is None:
            self.wallet.purchased += amount
        else:
            account = Account.objects.get(entries__transaction=posted, organization=self.organization)
            self.wallet.promotions[account.pk] = [expires_at, amount]
        return posted, asked

    @rule(granted=grants)
    def grant_again(self, granted):
        posted, asked = granted
        assert ledger.grant(self.organization.pk, reason="test", at=self.now, **asked) == posted

    @rule(target=holds, units=st.integers(1, 90 * UNIT))
    def decide(self, units):
        subject = self.key()
        decision = self.ask(subject, units)
        self.wallet.use(self.now)
        amount = (2 * units * UNIT_PRICE + UNIT) // (2 * UNIT)
        assert decision.quote_micro == amount
        assert decision.allowed == self.wallet.hold(subject, amount)
        return (subject, units) if decision.allowed else multiple()

    def ask(self, subject: str, units: int):
        with transaction.atomic():
            request = asking(self.organization, 1, subject, units_micro=units)
            return access.decide_and_hold(request, self.terms, self.now)

    @rule(held=holds)
    def decide_again(self, held):
        subject, units = held
        assert self.ask(subject, units).hold == Hold.objects.get(
            subject=subject, organization=self.organization
        )

    @rule(
        target=settled,
        held=consumes(holds),
        share=st.integers(0, 130),
        outcome=st.sampled_from(["delivered", "cancelled", "failed", "blocked"]),
    )
    def settle(self, held, share, outcome):
        subject, units = held
        hold = Hold.objects.get(subject=subject, organization=self.organization)
        done = {
            "outcome": outcome,
            "units_micro": units * share // 100,
            "quantity": share,
            "subject": subject,
        }
        charge = settle(hold.pk, reason_code="test", at=self.now, **done)
        price = (2 * done["units_micro"] * UNIT_PRICE + UNIT) // (2 * UNIT)
        assert charge.amount == (min(price, hold.amount) if outcome in ("delivered", "cancelled") else 0)
        self.wallet.resolve(subject, charge.amount, self.now)
        return hold, done, charge

    @rule(once=settled)
    def settle_again(self, once):
        hold, done, charge = once
        assert settle(hold.pk, reason_code="test", at=self.now, **done) == charge

    @rule(once=settled)
    def release_what_is_settled(self, once):
        with pytest.raises(ledger.HoldResolved):
            self.give_back(once[0])

    @rule(held=consumes(holds))
    def release(self, held):
        hold = Hold.objects.get(subject=held[0], organization=self.organization)
        self.give_back(hold)
        self.wallet.resolve(held[0], 0, self.now)

    def give_back(self, hold: Hold):
        with transaction.atomic():
            ledger.release(ledger.open_books(self.organization.pk), hold, reason="test", at=self.now)

    @invariant()
    def stored_balances_are_those_of_the_model(self):
        if hasattr(self, "organization"):
            assert stored(self.organization) == self.wallet.balances()

    def teardown(self):
        with connection.cursor() as cursor:  # the deferred checks, as every commit would make them
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        assert reconcile().drift == ()


def test_money_follows_the_model(db):
    quick = settings(
        max_examples=EXAMPLES,
        stateful_step_count=25,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(Money, settings=quick)

"""usage event → charge → balance update, once per piece of work, never above the quote."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.errors import ApiError
from billing import ledger
from billing.models import Charge, PriceVersion, Transaction, UsageEvent
from billing.settlement import settle
from tests.billing.conftest import CREDIT, NOON, UNIT, stored


@pytest.fixture
def hold(organization, decide):
    """10 units, 3 credits, out of 15 credits of allowance."""
    return decide(10, subject="job:a").hold


def settle_it(hold, **changes) -> Charge:
    fields = {
        "outcome": "delivered",
        "units_micro": 10 * UNIT,
        "quantity": 30,
        "subject": "job:a",
        "reason_code": "delivered",
        "at": NOON,
    }
    return settle(hold.pk, **{**fields, **changes})


@pytest.mark.parametrize(
    ("outcome", "units", "amount", "state"),
    [
        ("delivered", 10, 3 * CREDIT, "captured"),
        ("delivered", 4, 1.2 * CREDIT, "captured"),
        ("delivered", 99, 3 * CREDIT, "captured"),  # never more than was quoted
        ("cancelled", 5, 1.5 * CREDIT, "captured"),
        ("cancelled", 0, 0, "released"),
        ("failed", 10, 0, "released"),
        ("blocked", 10, 0, "released"),
    ],
)
def test_what_each_outcome_costs(organization, hold, outcome, units, amount, state):
    charge = settle_it(hold, outcome=outcome, units_micro=units * UNIT, reason_code="why")
    hold.refresh_from_db()
    assert (charge.amount, charge.quoted, charge.reason_code) == (amount, 3 * CREDIT, "why")
    assert (hold.state, hold.captured) == (state, amount)
    assert stored(organization) == {
        "purchased": 0,
        "promotional": 0,
        "allowance": 15 * CREDIT - amount,
        "held": 0,
    }
    usage = UsageEvent.objects.get()
    assert (usage.outcome, usage.units_micro, usage.quantity) == (outcome, units * UNIT, 30)
    assert usage.charge == charge
    # The balance update names the charge also when it is 0, so that it can be explained.
    update = Transaction.objects.get(operation="resolve")
    assert (update.charge, update.hold, update.kind) == (charge, hold, "charge" if amount else "release")


def test_settling_again_returns_the_first_charge(organization, hold):
    first = settle_it(hold)
    assert settle_it(hold, at=NOON.replace(hour=13)) == first
    assert (UsageEvent.objects.count(), Charge.objects.count()) == (1, 1)
    assert stored(organization)["allowance"] == 12 * CREDIT


@pytest.mark.parametrize(
    "changes", [{"outcome": "cancelled"}, {"units_micro": 1}, {"quantity": 1}, {"reason_code": "x"}]
)
def test_settling_again_with_other_contents_is_refused(organization, hold, changes):
    settle_it(hold)
    with pytest.raises(ApiError) as caught:
        settle_it(hold, **changes)
    assert caught.value.code == "idempotency_key_reused"
    assert Charge.objects.get().amount == 3 * CREDIT
    assert stored(organization)["allowance"] == 12 * CREDIT


def test_a_hold_released_without_a_settlement_is_not_charged_later(organization, hold):
    with transaction.atomic():
        ledger.release(ledger.open_books(organization.pk), hold, reason="test", at=NOON)
    with pytest.raises(ledger.HoldResolved):
        settle_it(hold)
    assert not UsageEvent.objects.exists()


def test_another_subject_is_refused(hold):
    with pytest.raises(ValueError, match="is for job:a"):
        settle_it(hold, subject="job:b")
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize("changes", [{"outcome": "lost"}, {"units_micro": -1}])
def test_nonsense_is_refused_and_leaves_the_hold_open(organization, hold, changes):
    with pytest.raises((ValueError, IntegrityError)), transaction.atomic():
        settle_it(hold, **changes)
    hold.refresh_from_db()
    assert hold.state == "open"
    assert not UsageEvent.objects.exists()


def test_the_price_is_the_one_that_was_quoted(hold):
    PriceVersion.objects.create(
        operation="clip", micro_per_unit=1, effective_from=NOON, author="t", reason="cheap"
    )
    assert settle_it(hold, units_micro=4 * UNIT).amount == 1.2 * CREDIT


def test_a_settlement_takes_a_bounded_number_of_queries(hold):
    with CaptureQueriesContext(connection) as queries:
        settle_it(hold, units_micro=4 * UNIT)
    assert len([q for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE", "PREPARE"))]) == 5


def test_work_that_cost_nothing_still_has_its_records(organization, decide, bare_terms):
    PriceVersion.objects.create(
        operation="code", micro_per_unit=0, effective_from=NOON, author="t", reason="free"
    )
    hold = decide(10, subject="job:a", operation="code", terms=bare_terms).hold
    charge = settle_it(hold)
    hold.refresh_from_db()
    assert (charge.amount, hold.state) == (0, "released")
    assert not Transaction.objects.exists()

"""What finished work costs: usage event → charge → balance update, in one database transaction."""

from datetime import datetime

from django.db import transaction

from billing import budgets, ledger, prices, pricing
from billing.books import open_books
from billing.models import Charge, Hold, Operation, PriceVersion, UsageEvent
from billing.settlement_rules import CHARGED

Outcome = UsageEvent.Outcome

REASONS = {
    Outcome.DELIVERED: "Delivered",
    Outcome.CACHED: "Served from the cache",
    Outcome.CANCELLED: "Cancelled; charged for the work that was done",
    Outcome.FAILED: "Not charged: the work failed",
    Outcome.BLOCKED: "Not charged: the result was blocked",
}


@transaction.atomic
def settle(
    hold_id: int,
    *,
    outcome: str,
    units_micro: int,
    quantity: int,
    subject: str,
    reason_code: str,
    at: datetime,
) -> Charge:
    """Record what was done, charge for it, capture that from the hold and release the rest.

    `units_micro` are the units that were done and `quantity` the steps run or tokens delivered. The charge is the price
    of those units as it was quoted, at most what is held, and 0 where the work failed or was blocked. Calling it again
    with the same contents returns the first charge. Raises `ApiError` idempotency_key_reused for other contents,
    `HoldResolved` where the hold was released without a settlement, ValueError for a subject that isn't the hold's.
    """
    organization_id = Hold.objects.values_list("organization_id", flat=True).get(pk=hold_id)
    books = open_books(organization_id)
    held = Hold.objects.select_related("decision__price_version").get(pk=hold_id)
    if subject != held.subject:
        raise ValueError(f"hold {hold_id} is for {held.subject}, not {subject}")
    done = (str(Outcome(outcome)), units_micro, quantity, reason_code)
    if first := _settled_before(held, done):
        return first
    if held.state != Hold.State.OPEN:
        raise ledger.HoldResolved(f"hold {hold_id} was resolved before")
    charge = _charge(held, done, at)
    ledger.capture(books, held, charge.amount, charge=charge, reason=REASONS[Outcome(outcome)], at=at)
    budgets.give_back(held.decision, held.amount - charge.amount)
    return charge


def price_of(held: Hold, outcome: str) -> PriceVersion:
    """The price that the charge follows: the quoted one, or for a repeat from the cache its own at that moment."""
    if outcome == Outcome.CACHED:
        return prices.in_force([Operation.CACHED], held.decision.at)[Operation.CACHED]
    return held.decision.price_version


def amount_due(held: Hold, outcome: str, units_micro: int) -> int:
    """The charge for so many units done under a hold, in micro-credits."""
    if outcome not in CHARGED:
        return 0
    return min(held.amount, pricing.amount_micro(units_micro, price_of(held, outcome).micro_per_unit))


def _settled_before(held: Hold, done: tuple[str, int, int, str]) -> Charge | None:
    first = (
        Charge.objects.select_related("usage_event", "price_version").filter(usage_event__hold=held).first()
    )
    if first is None:
        return None
    usage = first.usage_event
    if (usage.outcome, usage.units_micro, usage.quantity, usage.reason_code) != done:
        raise ledger.reused(f"The settlement of {held.subject}")
    return first


def _charge(held: Hold, done: tuple[str, int, int, str], at: datetime) -> Charge:
    outcome, units_micro, quantity, reason_code = done
    usage = UsageEvent.objects.create(
        organization_id=held.organization_id,
        hold=held,
        subject=held.subject,
        operation=held.decision.operation,
        model=held.decision.model,
        outcome=outcome,
        units_micro=units_micro,
        quantity=quantity,
        reason_code=reason_code,
        at=at,
    )
    return Charge.objects.create(
        organization_id=held.organization_id,
        usage_event=usage,
        price_version=price_of(held, outcome),
        quoted=held.amount,
        amount=amount_due(held, outcome, units_micro),
        reason_code=reason_code,
        at=at,
    )

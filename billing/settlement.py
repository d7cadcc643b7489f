"""What finished work costs: usage event → charge → balance update, in one database transaction."""

from datetime import datetime

from django.db import transaction

from accounts import batch
from billing import budgets, ledger, prices, pricing
from billing.books import open_and_read
from billing.models import Charge, Decision, Hold, Operation, PriceVersion, UsageEvent
from billing.settlement_rules import CHARGED

Outcome = UsageEvent.Outcome

REASONS = {
    Outcome.DELIVERED: "Delivered",
    Outcome.CACHED: "Served from the cache",
    Outcome.CANCELLED: "Cancelled; charged for the work that was done",
    Outcome.FAILED: "Not charged: the work failed",
    Outcome.BLOCKED: "Not charged: the result was blocked",
}

WORK = f"""
SELECT nextval('billing_usageevent_id_seq'), nextval('billing_charge_id_seq'),
       EXISTS (SELECT 1 FROM billing_usageevent u WHERE u.hold_id = h.id),
       {batch.columns(Hold, "h")}, {batch.columns(Decision, "d")}, {batch.columns(PriceVersion, "p")}
  FROM billing_hold h JOIN billing_decision d ON d.id = h.decision_id
  JOIN billing_priceversion p ON p.id = d.price_version_id WHERE h.id = %s
"""


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
    books, ((found,),) = open_and_read(organization_id, [(WORK, (hold_id,))])
    held, usage_id, charge_id, is_settled = _work(found)
    if subject != held.subject:
        raise ValueError(f"hold {hold_id} is for {held.subject}, not {subject}")
    done = (str(Outcome(outcome)), units_micro, quantity, reason_code)
    if is_settled:
        return _settled_before(held, done)
    if held.state != Hold.State.OPEN:
        raise ledger.HoldResolved(f"hold {hold_id} was resolved before")
    usage = _usage(usage_id, held, done, at)
    charge = _charge(charge_id, held, usage)
    freed = budgets.give_back(held.decision, held.amount - charge.amount)
    batch.run([batch.insertion(usage), batch.insertion(charge), *freed])
    ledger.capture(books, held, charge.amount, charge=charge, reason=REASONS[Outcome(outcome)], at=at)
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


def _work(row: tuple) -> tuple[Hold, int, int, bool]:
    """The hold with its decision and price, ids for what will be written, and whether it was settled before."""
    held, decision, price = batch.instances([Hold, Decision, PriceVersion], row[3:])
    decision.price_version, held.decision = price, decision
    usage_id, charge_id, is_settled = row[:3]
    return held, usage_id, charge_id, is_settled


def _settled_before(held: Hold, done: tuple[str, int, int, str]) -> Charge:
    first = Charge.objects.select_related("usage_event", "price_version").get(usage_event__hold=held)
    usage = first.usage_event
    if (usage.outcome, usage.units_micro, usage.quantity, usage.reason_code) != done:
        raise ledger.reused(f"The settlement of {held.subject}")
    return first


def _usage(number: int, held: Hold, done: tuple[str, int, int, str], at: datetime) -> UsageEvent:
    outcome, units_micro, quantity, reason_code = done
    return UsageEvent(
        id=number,
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


def _charge(number: int, held: Hold, usage: UsageEvent) -> Charge:
    return Charge(
        id=number,
        organization_id=held.organization_id,
        usage_event=usage,
        price_version=price_of(held, usage.outcome),
        quoted=held.amount,
        amount=amount_due(held, usage.outcome, usage.units_micro),
        reason_code=usage.reason_code,
        at=usage.at,
    )

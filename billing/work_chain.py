"""Everything that a piece of work did to money: decision, price, hold, usage, charge, lines and what came after.

For staff, over all organizations; a customer's own view of a line is statement_chain.py.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from accounts.errors import ApiError
from billing import pricing, reasons
from billing.models import Adjustment, Charge, Decision, Hold, HoldPart, SlaCredit, Transaction, UsageEvent

_WITH = (
    "organization",
    "price_version",
    "terms",
    "user",
    "api_key",
    "hold_taken__usage_event__charge__price_version",
)


@dataclass(frozen=True)
class WorkChain:
    """What isn't part of the story is None or empty. `computed_micro` is units at the price, before the quote's cap."""

    decision: Decision
    hold: Hold | None
    parts: list[HoldPart]
    usage: UsageEvent | None
    charge: Charge | None
    computed_micro: int | None
    why: reasons.Reason | None
    lines: list[Transaction]  # oldest first, with their entries
    adjustments: list[Adjustment]
    sla_credit: SlaCredit | None
    refunded_micro: int

    @property
    def net_micro(self) -> int:
        """What the work cost after what was given back."""
        return (self.charge.amount if self.charge else 0) - self.refunded_micro


def of_decision(decision_id: UUID) -> WorkChain:
    """The chain that begins with a decision; at most seven queries. Raises `ApiError` not_found."""
    decision = Decision.objects.select_related(*_WITH).filter(pk=decision_id).first()
    if decision is None:
        raise ApiError("not_found", "There is no such decision.")
    hold = decision.hold
    usage = getattr(hold, "usage_event", None)
    charge = decision.charge
    lines = _lines(hold, usage)
    return WorkChain(
        decision=decision,
        hold=hold,
        parts=list(hold.parts.select_related("account")) if hold else [],
        usage=usage,
        charge=charge,
        computed_micro=_computed(usage, charge),
        why=reasons.explain(charge.reason_code, charge.amount) if charge else None,
        lines=lines,
        adjustments=_adjustments(charge),
        sla_credit=_sla_credit(usage),
        refunded_micro=sum(_refund_of(line) for line in lines),
    )


def _computed(usage: UsageEvent | None, charge: Charge | None) -> int | None:
    if usage is None or charge is None:
        return None
    return pricing.amount_micro(usage.units_micro, charge.price_version.micro_per_unit)


def _lines(hold: Hold | None, usage: UsageEvent | None) -> list[Transaction]:
    """Those of the hold and of its charge, the credit for lateness, and what took any of them back."""
    if hold is None:
        return []
    own = Q(hold=hold) | Q(charge__usage_event__hold=hold)
    if usage is not None:
        own |= Q(sla_credit__usage_event=usage) | Q(reverses__sla_credit__usage_event=usage)
    found = Transaction.objects.filter(own, organization=hold.organization_id)
    found = found.select_related("actor").prefetch_related("entries__account")
    return list(found.order_by("pk"))


def _adjustments(charge: Charge | None) -> list[Adjustment]:
    if charge is None:
        return []
    found = charge.adjustments.select_related("requested_by", "approved_by", "transaction")
    return list(found.order_by("pk"))


def _sla_credit(usage: UsageEvent | None) -> SlaCredit | None:
    if usage is None:
        return None
    return SlaCredit.objects.filter(usage_event=usage).select_related("target").first()


def _refund_of(line: Transaction) -> int:
    """What a line gave back of the charge, in micro-credits."""
    if line.kind != Transaction.Kind.REFUND:
        return 0
    return -sum(e.amount for e in line.entries.all() if e.account.kind == "revenue")

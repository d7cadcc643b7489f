"""One line of the statement opened up: job, decision, price version, usage event, charge and entries, and why."""

from dataclasses import dataclass
from datetime import datetime

from accounts.errors import ApiError
from billing import pricing, reasons
from billing.models import (
    Adjustment,
    Charge,
    Decision,
    Entry,
    Hold,
    HoldPart,
    Redemption,
    SlaCredit,
    Transaction,
    UsageEvent,
)
from billing.statement import Line, line_of

_WORK = (
    "hold__decision__price_version",
    "hold__decision__terms",
    "hold__decision__user",
    "hold__decision__api_key",
    "hold__usage_event__charge__price_version",
    "charge__price_version",
    "charge__usage_event",
    "payment__pack",
    "reverses",
    "reversal",
    "actor",
)


@dataclass(frozen=True)
class Chain:
    """Everything behind a line. What isn't part of its story is None or empty."""

    line: Line
    entries: list[Entry]
    decision: Decision | None
    hold: Hold | None
    hold_parts: list[HoldPart]
    usage: UsageEvent | None
    charge: Charge | None
    computed_micro: int | None  # units at the price of the quote, before the quote caps it
    why: reasons.Reason | None
    around: list[Transaction]  # the other lines of the same piece of work or payment, oldest first
    payment: object | None
    redemption: Redemption | None
    adjustment: Adjustment | None
    sla_credit: SlaCredit | None
    reverses: Transaction | None
    reversed_by: Transaction | None
    at: datetime


def chain(organization_id: int, line_id: int) -> Chain:
    """The chain of one line; at most nine queries. Raises `ApiError` not_found for another organization's."""
    mine = Transaction.objects.filter(organization_id=organization_id, pk=line_id)
    posted = mine.select_related(*_WORK).prefetch_related("entries__account").first()
    if posted is None:
        raise ApiError("not_found", "There is no such line in this organization's statement.", param="line")
    hold = posted.hold
    usage = getattr(hold, "usage_event", None)
    charge = posted.charge or getattr(usage, "charge", None)
    return Chain(
        line=line_of(posted),
        entries=sorted(posted.entries.all(), key=lambda e: (e.account.organization_id is None, e.pk)),
        decision=hold.decision if hold else None,
        hold=hold,
        hold_parts=list(hold.parts.select_related("account")) if hold else [],
        usage=usage,
        charge=charge,
        computed_micro=_computed(usage, charge),
        why=_why(usage, charge),
        around=_around(posted),
        payment=posted.payment,
        **_given(posted),
        reverses=posted.reverses,
        reversed_by=getattr(posted, "reversal", None),
        at=posted.at,
    )


def _computed(usage: UsageEvent | None, charge: Charge | None) -> int | None:
    if usage is None or charge is None:
        return None
    return pricing.amount_micro(usage.units_micro, charge.price_version.micro_per_unit)


def _why(usage: UsageEvent | None, charge: Charge | None) -> reasons.Reason | None:
    if usage is None or charge is None:
        return None
    return reasons.explain(charge.reason_code, charge.amount)


def _around(posted: Transaction) -> list[Transaction]:
    same = {}
    if posted.hold_id:
        same = {"hold": posted.hold_id}
    elif posted.payment_id:
        same = {"payment": posted.payment_id}
    if not same:
        return []
    others = Transaction.objects.filter(organization=posted.organization_id, **same).exclude(pk=posted.pk)
    return list(others.order_by("pk"))


def _given(posted: Transaction) -> dict:
    """Where credits came from: looked up only for the kinds of line that have such a row."""
    kind, mine = Transaction.Kind, {"transaction": posted.pk}
    adjusted = (kind.ADJUSTMENT, kind.GRANT, kind.PROMOTION, kind.REFUND, kind.VOID)
    promoted, late = posted.kind == kind.PROMOTION, posted.kind == kind.SLA_CREDIT
    return {
        "redemption": Redemption.objects.filter(**mine).select_related("promotion", "user").first()
        if promoted
        else None,
        "adjustment": Adjustment.objects.filter(**mine).first() if posted.kind in adjusted else None,
        "sla_credit": SlaCredit.objects.filter(**mine).select_related("target", "usage_event").first()
        if late
        else None,
    }

"""Promised times: the target row of a clip, and the credit that a late one earns by itself, once."""

from datetime import datetime, timedelta

from django.db import transaction

from billing import billing_settings, ledger, notices, pricing
from billing.books import open_books
from billing.models import Account, Notice, SlaCredit, SlaTarget, Transaction, UsageEvent

Kind = Account.Kind


def target_for(tier: str, model: str, seconds: float, at: datetime) -> SlaTarget | None:
    """The row in force for a clip: its own model's before any model's, then the shortest length that holds it."""
    rows = (
        SlaTarget.objects.filter(
            tier_id=tier, model__in=("", model), max_seconds__gte=seconds, effective_from__lte=at
        )
        .order_by("model", "max_seconds", "-effective_from")
        .distinct("model", "max_seconds")
    )
    return min(rows, key=lambda row: (row.model == "", row.max_seconds), default=None)


@transaction.atomic
def credit_breach(usage_event_id: int, target: SlaTarget, took: timedelta, at: datetime) -> SlaCredit | None:
    """Post what a late clip earns. None where it was in time, the row earns nothing, or it was credited before.

    Inside a transaction of its own or the caller's; it locks the wallet.
    """
    if took <= timedelta(seconds=target.target_s) or target.credit_micro == 0:
        return None
    usage = UsageEvent.objects.get(pk=usage_event_id)
    books = open_books(usage.organization_id)
    if SlaCredit.objects.filter(usage_event=usage).exists():
        return None
    lasts = timedelta(days=billing_settings.in_force(at).sla_credit_days)
    account = ledger.open_promotional(books, at + lasts)
    posted = ledger.post(
        books,
        [(account, target.credit_micro), (books.platform(Kind.SLA), -target.credit_micro)],
        operation="sla_credit",
        key=usage.subject,
        asked={"usage": usage.pk},
        kind=Transaction.Kind.SLA_CREDIT,
        reason=f"Took {took.total_seconds():.0f} s; {target.target_s} s are promised",
        hold_id=usage.hold_id,
        at=at,
    )
    credit = SlaCredit.objects.create(
        organization_id=usage.organization_id,
        usage_event=usage,
        target=target,
        took_ms=took // timedelta(milliseconds=1),
        amount=target.credit_micro,
        transaction=posted,
        at=at,
    )
    notices.tell(
        usage.organization_id,
        Notice.Kind.SLA_CREDIT,
        f"sla:{usage.pk}",
        f"A clip took {took.total_seconds():.0f} s where {target.target_s} s are promised: "
        f"{pricing.in_credits(target.credit_micro)} credits were added.",
        link=f"/jobs/{usage.subject}/",
        detail={"subject": usage.subject, "took_s": round(took.total_seconds(), 1)},
    )
    return credit

"""What an enterprise customer's overage of a month comes to: an invoice once the month is over and all is settled."""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Sum
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import User
from billing import ledger, notices, overage, pricing
from billing.books import open_books, utc_day
from billing.models import Account, Hold, HoldPart, Invoice, Notice, OverageContract, Transaction

Kind = Account.Kind


def issue_due(now: datetime, limit: int = 100) -> int:
    """Issue the invoices of months that are over and whose work is settled; how many."""
    over = Account.objects.filter(kind=Kind.OVERAGE, organization__isnull=False, expires_at__lte=now)
    still_open = HoldPart.objects.filter(account=OuterRef("pk"), hold__state=Hold.State.OPEN)
    due = over.filter(~Exists(still_open), invoice__isnull=True).order_by("pk")
    return sum(_issue(account, now) for account in due[:limit])


@transaction.atomic
def _issue(account: Account, now: datetime) -> bool:
    books = open_books(account.organization_id)
    account = Account.objects.get(pk=account.pk)
    if Invoice.objects.filter(account=account).exists():
        return False
    if account.balance:
        reason = "Rest of the overage"
        ledger.expire(books, [(account, account.balance)], key=f"overage:{account.pk}", reason=reason, at=now)
    month = utc_day(account.expires_at - overage.INSTANT).replace(day=1)
    contract = (
        OverageContract.objects.filter(
            organization_id=account.organization_id, effective_from__lt=account.expires_at
        )
        .order_by("-effective_from")
        .first()
    )
    used = used_micro(account)
    invoice = Invoice.objects.create(
        organization_id=account.organization_id,
        contract=contract,
        account=account,
        month=month,
        amount_micro=used,
        amount_cents=_cents(used),
        **({} if used else {"state": Invoice.State.VOID, "settled_at": now, "note": "Nothing was used."}),
    )
    if used:
        notices.tell(
            account.organization_id,
            Notice.Kind.INVOICE,
            f"invoice:{invoice.pk}",
            f"The overage of {month:%B %Y} comes to {pricing.in_credits(used)} credits (${_cents(used) / 100:,.2f}).",
            link="/invoices/",
            detail={"invoice": invoice.pk, "month": f"{month:%Y-%m}"},
        )
    return bool(used)


def used_micro(account: Account) -> int:
    """What was taken from a month's overage and not given back: opened for it, less what returned to the platform."""
    moved = Transaction.objects.filter(entries__account=account)
    platform = Transaction.objects.filter(
        pk__in=moved, entries__account__kind=Kind.OVERAGE, entries__account__organization__isnull=True
    )
    return -int(platform.aggregate(sum=Sum("entries__amount", default=0))["sum"])


@transaction.atomic
def mark_paid(
    invoice_id: int,
    *,
    by: User,
    note: str,
    at: datetime | None = None,
    approved_by: User | None = None,
) -> Invoice:
    """Record that an invoice was paid: what the platform was owed for it becomes cash.

    Above the limit the database asks for `approved_by`. Raises `ApiError` not_ready.
    """
    at = at or timezone.now()
    organization_id = Invoice.objects.values_list("organization_id", flat=True).get(pk=invoice_id)
    books = open_books(organization_id)
    invoice = Invoice.objects.select_for_update().get(pk=invoice_id)
    if invoice.state != Invoice.State.OPEN:
        raise ApiError("not_ready", f"This invoice is {invoice.get_state_display().lower()}.")
    invoice.transaction = ledger.post(
        books,
        [
            (books.platform(Kind.OVERAGE), invoice.amount_micro),
            (books.platform(Kind.CASH), -invoice.amount_micro),
        ],
        operation="invoice",
        key=str(invoice.pk),
        asked={"invoice": invoice.pk},
        kind=Transaction.Kind.INVOICE,
        reason=f"Overage of {invoice.month:%Y-%m} paid",
        actor=by,
        at=at,
    )
    invoice.state, invoice.settled_at, invoice.settled_by, invoice.note = Invoice.State.PAID, at, by, note
    invoice.approved_by = approved_by
    invoice.save(update_fields=["state", "settled_at", "settled_by", "approved_by", "note", "transaction"])
    return invoice


def _cents(micro: int) -> int:
    """1 credit is a cent; half a cent rounds up."""
    return (2 * micro + pricing.MICRO) // (2 * pricing.MICRO)

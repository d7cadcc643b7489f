"""Putting money right after the fact: nothing is edited, a correction is a transaction of its own.

These post; who may ask for one, and who else must agree, is in adjustments.py.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Sum

from accounts.errors import ApiError
from accounts.models import User
from billing import ledger, pricing
from billing.books import Books, open_books
from billing.models import Account, Charge, HoldPart, Invoice, Transaction

Kind = Account.Kind
GOODWILL_LASTS = timedelta(days=30)  # what a refunded charge had taken from an allowance or a promotion
VOIDABLE = (
    Transaction.Kind.GRANT,
    Transaction.Kind.PROMOTION,
    Transaction.Kind.ADJUSTMENT,
    Transaction.Kind.SLA_CREDIT,
)


@transaction.atomic
def adjust(
    organization_id: int,
    amount_micro: int,
    *,
    idempotency_key: str,
    reason: str,
    actor: User | None,
    at: datetime,
) -> Transaction:
    """Correct purchased credits up or down. Raises `ApiError` invalid_value for more than there is."""
    asked = {"amount": amount_micro}
    books = open_books(organization_id)
    if first := ledger.posted_before(organization_id, "adjustment", idempotency_key, asked):
        return first
    purchased = books.own(Kind.PURCHASED)
    if amount_micro == 0 or abs(amount_micro) > ledger.MOST_AT_ONCE or purchased.balance + amount_micro < 0:
        message = (
            f"There are {pricing.in_credits(purchased.balance)} purchased credits, and a balance never falls below "
            "zero. Nothing was changed."
        )
        raise ApiError("invalid_value", message, param="amount")
    return ledger.post(
        books,
        [(purchased, amount_micro), (books.platform(Kind.GRANTS), -amount_micro)],
        operation="adjustment",
        key=idempotency_key,
        asked=asked,
        kind=Transaction.Kind.ADJUSTMENT,
        reason=reason.strip(),
        actor=actor,
        at=at,
    )


@transaction.atomic
def refund_charge(
    charge_id: int,
    amount_micro: int,
    *,
    idempotency_key: str,
    reason: str,
    actor: User | None,
    at: datetime,
) -> Transaction:
    """Give a charge back, in part or whole, the last bucket that paid first.

    What was purchased, or overage that isn't invoiced yet, goes back to where it was; the rest comes back as
    promotional credits for 30 days, because a day's allowance is over with its day. Raises `ApiError` invalid_value
    for more than is left of the charge.
    """
    charge = Charge.objects.select_related("usage_event__hold").get(pk=charge_id)
    asked = {"amount": amount_micro, "charge": charge_id}
    books = open_books(charge.organization_id)
    if first := ledger.posted_before(charge.organization_id, "refund", idempotency_key, asked):
        return first
    back = refunded_micro(charge)
    if not 0 < amount_micro <= charge.amount - back:
        left = pricing.in_credits(charge.amount - back)
        message = f"Of this charge {left} credits are left to refund. Nothing was refunded."
        raise ApiError("invalid_value", message, param="amount")
    returns = _returns(books, charge, back, amount_micro, at)
    posted = ledger.post(
        books,
        [*returns, (books.platform(Kind.REVENUE), -amount_micro)],
        operation="refund",
        key=idempotency_key,
        asked=asked,
        kind=Transaction.Kind.REFUND,
        reason=reason.strip(),
        charge=charge,
        hold=charge.usage_event.hold,
        actor=actor,
        at=at,
    )
    late = [(account, share) for account, share in returns if account.expires_at and account.expires_at <= at]
    if late:
        reason = "Came back after its time was over"
        ledger.expire(books, late, key=f"refund:{posted.pk}", reason=reason, at=at)
    return posted


def refunded_micro(charge: Charge) -> int:
    """What of a charge was given back so far."""
    returned = Transaction.objects.filter(charge=charge, kind=Transaction.Kind.REFUND).filter(
        entries__account__kind=Kind.REVENUE
    )
    return -int(returned.aggregate(sum=Sum("entries__amount", default=0))["sum"])


@transaction.atomic
def void(
    transaction_id: int, *, idempotency_key: str, reason: str, actor: User | None, at: datetime
) -> Transaction:
    """Take a grant, promotion, adjustment or credit back whole, by its reversal.

    Raises `ApiError` invalid_value where it can't be: of another kind, voided before, or spent in part.
    """
    posted = Transaction.objects.get(pk=transaction_id)
    books = open_books(posted.organization_id)
    if first := ledger.posted_before(
        posted.organization_id, "void", idempotency_key, {"transaction": transaction_id}
    ):
        return first
    if posted.kind not in VOIDABLE:
        message = f"{posted.get_kind_display()} can't be voided. Refund the charge or adjust instead."
        raise ApiError("invalid_value", message, param="transaction")
    if Transaction.objects.filter(reverses=posted).exists():
        raise ApiError("invalid_value", "This was voided before. Nothing was changed.", param="transaction")
    for entry in posted.entries.select_related("account"):
        if entry.account.balance is not None and entry.account.balance < entry.amount:
            left = pricing.in_credits(entry.account.balance)
            message = f"Only {left} credits of it are left, the rest was used. Adjust what is left instead."
            raise ApiError("invalid_value", message, param="transaction")
    return ledger.reverse(books, posted, key=idempotency_key, reason=reason.strip(), actor=actor, at=at)


def _returns(books: Books, charge: Charge, back: int, amount: int, at: datetime) -> list[tuple[Account, int]]:
    """Where `amount` of a charge goes back to, `back` of it having gone back before; the last payer first."""
    returns: list[tuple[Account, int]] = []
    goodwill = 0
    for part, captured in reversed(_captured(charge)):
        skipped = min(back, captured)
        back -= skipped
        share = min(amount, captured - skipped)
        amount -= share
        if not share:
            continue
        if part.account.kind == Kind.PURCHASED or _uninvoiced_overage(part.account):
            returns.append((part.account, share))
        else:
            goodwill += share
    if goodwill:
        returns.append((ledger.open_promotional(books, at + GOODWILL_LASTS), goodwill))
    return returns


def _uninvoiced_overage(account: Account) -> bool:
    return account.kind == Kind.OVERAGE and not Invoice.objects.filter(account=account).exists()


def _captured(charge: Charge) -> list[tuple[HoldPart, int]]:
    left, parts = charge.amount, []
    for part in charge.usage_event.hold.parts.select_related("account"):
        taken = min(left, part.amount)
        left -= taken
        parts.append((part, taken))
    return parts

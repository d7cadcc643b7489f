"""What payments do to the ledger: a purchase, a refund of what was not spent, a dispute and its end.

Each call locks the wallet, then the payment, moves the payment's state and posts in the same database transaction, and
repeated it changes nothing. Who talks to the provider calls these after it has heard the provider's word.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from accounts.errors import ApiError
from accounts.models import User
from billing import ledger, pricing
from billing.books import Books, open_books
from billing.models import Account, Payment, Refund, Transaction

Kind = Account.Kind
State = Payment.State
NOT_YET_PAID = (State.CREATED, State.PENDING, State.FAILED, State.EXPIRED)


@transaction.atomic
def paid(payment_id: object, *, at: datetime, provider_payment_id: str = "", **links: str) -> Payment:
    """The money arrived: grant the credits, once. `links` are receipt_url and invoice_url, where there are any.

    What the organization owes from a dispute is paid from them first. Later states are left as they are.
    """
    books, payment = _locked(payment_id)
    known = {"provider_payment_id": provider_payment_id} if not payment.provider_payment_id else {}
    known |= {name: value for name, value in links.items() if value}
    if payment.state not in NOT_YET_PAID:
        _set(payment, **known)
        return payment
    _set(payment, state=State.PAID, paid_at=at, failure_code="", failure_message="", **known)
    dollars = f"{payment.amount_cents / 100:,.2f} {payment.currency.upper()}"
    ledger.post(
        books,
        [
            (books.own(Kind.PURCHASED), payment.credits_micro),
            (books.platform(Kind.CASH), -payment.credits_micro),
        ],
        operation="purchase",
        key=str(payment.pk),
        asked={"payment": str(payment.pk)},
        kind=Transaction.Kind.PURCHASE,
        reason=f"{payment.get_purpose_display()}: {payment.pack.name} for {dollars}",
        payment=payment,
        at=at,
    )
    _recover(books, payment, at)
    ledger.credits_came(books)
    return payment


def refundable_micro(books: Books, payment: Payment) -> int:
    """What of a payment can be refunded now: not refunded yet, and not spent."""
    return max(0, min(payment.credits_micro - refunded(payment)[0], books.own(Kind.PURCHASED).balance))


@transaction.atomic
def begin_refund(
    payment_id: object,
    credits_micro: int,
    *,
    reason: str,
    idempotency_key: str,
    requested_by: User | None,
    at: datetime,
    approved_by: User | None = None,
) -> Refund:
    """Take unspent credits of a payment out of the wallet, to be paid back. The provider is asked afterwards.

    The same key again returns the first refund. Above the limit the database asks for `approved_by`, at commit. Raises
    `ApiError` invalid_value for more than is left of the payment or of the balance, not_ready for a payment that isn't
    paid, idempotency_key_reused.
    """
    books, payment = _locked(payment_id)
    if first := Refund.objects.filter(payment=payment, idempotency_key=idempotency_key).first():
        if first.credits_micro != credits_micro:
            raise ledger.reused(f"The refund {idempotency_key}")
        return first
    _check_refund(books, payment, credits_micro)
    posted = ledger.post(
        books,
        [(books.own(Kind.PURCHASED), -credits_micro), (books.platform(Kind.CASH), credits_micro)],
        operation="pay_refund",
        key=f"{payment.pk}:{idempotency_key}"[:200],
        asked={"credits": credits_micro},
        kind=Transaction.Kind.PAY_REFUND,
        reason=reason.strip(),
        payment=payment,
        actor=requested_by,
        at=at,
    )
    refund = Refund.objects.create(
        payment=payment,
        credits_micro=credits_micro,
        amount_cents=_cents(payment, credits_micro),
        reason=reason.strip(),
        idempotency_key=idempotency_key,
        requested_by=requested_by,
        approved_by=approved_by,
        transaction=posted,
    )
    _set(payment, state=_paid_state(payment))
    return refund


@transaction.atomic
def refund_succeeded(refund_id: int, *, provider_refund_id: str, at: datetime) -> Refund:
    """The provider paid it back. Again, or after it failed, it changes nothing."""
    refund = Refund.objects.select_for_update().get(pk=refund_id)
    if refund.state == Refund.State.PENDING:
        refund.state, refund.settled_at = Refund.State.SUCCEEDED, at
        refund.provider_refund_id = refund.provider_refund_id or provider_refund_id
        refund.save(update_fields=["state", "settled_at", "provider_refund_id"])
    return refund


@transaction.atomic
def refund_failed(refund_id: int, *, at: datetime) -> Refund:
    """The provider could not pay it back: the credits return to the wallet, once."""
    payment_id = Refund.objects.values_list("payment_id", flat=True).get(pk=refund_id)
    books, payment = _locked(payment_id)
    refund = Refund.objects.select_for_update().select_related("transaction").get(pk=refund_id)
    if refund.state == Refund.State.FAILED:
        return refund
    ledger.reverse(
        books, refund.transaction, key=f"refund:{refund.pk}", reason="The refund could not be made", at=at
    )
    refund.state, refund.settled_at = Refund.State.FAILED, at
    refund.save(update_fields=["state", "settled_at"])
    if payment.state in (State.PARTLY_REFUNDED, State.REFUNDED):
        _set(payment, state=_paid_state(payment))
    return refund


@transaction.atomic
def disputed(payment_id: object, *, dispute_id: str, at: datetime) -> Payment:
    """The payer took the money back: its credits go, and what of them was spent already is owed (a receivable)."""
    books, payment = _locked(payment_id)
    if payment.state not in (State.PAID, State.PARTLY_REFUNDED, State.REFUNDED):
        return payment
    amount = payment.credits_micro - refunded(payment)[0]
    unspent = min(amount, books.own(Kind.PURCHASED).balance)
    _set(payment, state=State.DISPUTED)
    if amount:
        moves = [(books.platform(Kind.CASH), amount), (books.own(Kind.PURCHASED), -unspent)]
        if amount > unspent:
            moves.append((ledger.receivable(books), unspent - amount))
        _post_dispute(books, payment, moves, Transaction.Kind.DISPUTE, dispute_id, at)
    return payment


@transaction.atomic
def dispute_won(payment_id: object, *, dispute_id: str, at: datetime) -> Payment:
    """The dispute was decided for us: what is owed is settled first, the rest comes back as purchased credits."""
    books, payment = _locked(payment_id)
    if payment.state != State.DISPUTED:
        return payment
    amount = _in_dispute(payment)
    owed = min(amount, ledger.owed(books))
    _set(payment, state=_paid_state(payment))
    if amount:
        moves = [(books.platform(Kind.CASH), -amount), (books.own(Kind.PURCHASED), amount - owed)]
        if owed:
            moves.append((ledger.receivable(books), owed))
        _post_dispute(books, payment, moves, Transaction.Kind.DISPUTE_WON, dispute_id, at)
    return payment


@transaction.atomic
def dispute_lost(payment_id: object) -> Payment:
    """The dispute was decided against us: nothing moves any more, what is owed stays owed."""
    _, payment = _locked(payment_id)
    if payment.state == State.DISPUTED:
        _set(payment, state=State.LOST)
    return payment


def _in_dispute(payment: Payment) -> int:
    """What the dispute took of a payment. A refund that failed since then has come back by itself, and isn't in it."""
    moved = Transaction.objects.filter(
        payment=payment, kind__in=(Transaction.Kind.DISPUTE, Transaction.Kind.DISPUTE_WON)
    )
    cash = moved.filter(entries__account__kind=Kind.CASH)
    return int(cash.aggregate(sum=Sum("entries__amount", default=0))["sum"])


def refunded(payment: Payment) -> tuple[int, int]:
    """Micro-credits and cents of a payment that were refunded or are being refunded."""
    going = payment.refunds.exclude(state=Refund.State.FAILED)
    sums = going.aggregate(credits=Sum("credits_micro", default=0), cents=Sum("amount_cents", default=0))
    return int(sums["credits"]), int(sums["cents"])


def _locked(payment_id: object) -> tuple[Books, Payment]:
    organization_id = Payment.objects.values_list("organization_id", flat=True).get(pk=payment_id)
    books = open_books(organization_id)
    return books, Payment.objects.select_for_update(of=("self",)).select_related("pack").get(pk=payment_id)


def _set(payment: Payment, **values: object) -> None:
    changed = {name: value for name, value in values.items() if getattr(payment, name) != value}
    for name, value in changed.items():
        setattr(payment, name, value)
    if changed:
        payment.save(update_fields=list(changed))


def _paid_state(payment: Payment) -> str:
    back, _ = refunded(payment)
    if back == 0:
        return State.PAID
    return State.REFUNDED if back == payment.credits_micro else State.PARTLY_REFUNDED


def _check_refund(books: Books, payment: Payment, credits_micro: int) -> None:
    if payment.state not in (State.PAID, State.PARTLY_REFUNDED):
        message = f"This payment is {payment.get_state_display().lower()}; only a paid one can be refunded."
        raise ApiError("not_ready", message)
    most = refundable_micro(books, payment)
    if not 0 < credits_micro <= most:
        raise ApiError(
            "invalid_value",
            f"Of this payment {pricing.in_credits(most)} credits can be refunded: what was bought, less what was "
            "refunded and spent. Nothing was refunded.",
            param="credits",
        )
    if _cents(payment, credits_micro) < 1:
        message = "That is less than a cent. Nothing was refunded."
        raise ApiError("invalid_value", message, param="credits")


def _cents(payment: Payment, credits_micro: int) -> int:
    """The money of so many credits: their share of the price, rounded down; the last refund takes the rest."""
    back, cents = refunded(payment)
    if back + credits_micro >= payment.credits_micro:
        return payment.amount_cents - cents
    return min(credits_micro * payment.amount_cents // payment.credits_micro, payment.amount_cents - cents)


def _recover(books: Books, payment: Payment, at: datetime) -> None:
    """What is owed is paid from the credits that were bought."""
    amount = min(ledger.owed(books), books.own(Kind.PURCHASED).balance)
    if amount:
        ledger.post(
            books,
            [(books.own(Kind.PURCHASED), -amount), (ledger.receivable(books), amount)],
            operation="recovery",
            key=str(payment.pk),
            asked={"payment": str(payment.pk)},
            kind=Transaction.Kind.RECOVERY,
            reason="Paid towards credits that were spent and then disputed",
            at=at,
        )


def _post_dispute(
    books: Books, payment: Payment, moves: ledger.Moves, kind: str, dispute_id: str, at: datetime
) -> None:
    ledger.post(
        books,
        moves,
        operation=kind,
        key=f"{payment.pk}:{dispute_id}"[:200],
        asked={"payment": str(payment.pk)},
        kind=kind,
        reason=f"{Transaction.Kind(kind).label}: {payment.pack.name}",
        payment=payment,
        at=at,
    )

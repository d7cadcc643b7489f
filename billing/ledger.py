"""The only writer of balances: every movement of money is a transaction posted here.

Lock order, for whoever takes more than one: an attempt (generation), then the wallet, then a job's row, then holds,
then accounts. All that moves an organization's money happens under the lock on its wallet (`open_books`), so two
requests can never spend the same credit. Platform accounts are never updated: they are summed from their entries.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit, batch
from accounts.errors import ApiError
from accounts.models import User
from billing import waterfall
from billing.books import Books, open_books, wallet_for
from billing.models import Account, Charge, Decision, Hold, HoldPart, Transaction
from billing.posting import Moves, post, posted_before, request_hash, reused, reverse
from billing.posting import prepared as posting_statements
from billing.rolls import expire, expire_what_came_back_late, roll

__all__ = [
    "HoldResolved",
    "Moves",
    "capture",
    "credits_came",
    "expire",
    "expire_hold",
    "grant",
    "hold",
    "open_books",
    "open_promotional",
    "owed",
    "post",
    "posted_before",
    "receivable",
    "release",
    "renew_holds",
    "request_hash",
    "reused",
    "reverse",
    "roll",
    "wallet_for",
]

Kind = Account.Kind
MOST_AT_ONCE = 10**15  # micro-credits; more in one grant is a typing error, and a bigint has its limit
PROMOTION_LASTS = timedelta(days=365)


class HoldResolved(Exception):
    """The hold was captured, released or expired before: it resolves once."""


@transaction.atomic
def grant(
    organization_id: int,
    amount_micro: int,
    *,
    bucket: str,
    idempotency_key: str,
    reason: str,
    expires_at: datetime | None = None,
    actor: User | str | None = None,
    at: datetime | None = None,
) -> Transaction:
    """Give an organization credits that stay (`purchased`) or expire (`promotional`). Audited when `actor` is given.

    Promotional credits last `PROMOTION_LASTS` where no expiry is given.
    The same key and contents again return the first result. Raises `ApiError` invalid_value naming the field, and
    idempotency_key_reused for the same key with other contents.
    """
    at = at or timezone.now()
    _check_grant(amount_micro, bucket, idempotency_key, reason)
    until = expires_at.astimezone(UTC) if expires_at else None
    asked = {"amount": amount_micro, "bucket": bucket, "expires_at": until}
    books = open_books(organization_id)
    if first := posted_before(organization_id, "grant", idempotency_key, asked):
        return first
    until = _expiry(bucket, expires_at, at)
    account = books.own(Kind.PURCHASED) if bucket == Kind.PURCHASED else open_promotional(books, until)
    before = books.available
    posted = post(
        books,
        [(account, amount_micro), (books.platform(Kind.GRANTS), -amount_micro)],
        operation="grant",
        key=idempotency_key,
        asked=asked,
        kind=Transaction.Kind.PROMOTION if bucket == Kind.PROMOTIONAL else Transaction.Kind.GRANT,
        reason=reason.strip(),
        actor=actor if isinstance(actor, User) else None,
        at=at,
    )
    credits_came(books)
    if actor is not None:
        audit.record(
            actor=actor,
            action="credits.grant",
            target=f"wallet:{organization_id}",
            reason=reason,
            before={"available_micro": before},
            after={"available_micro": books.available, "bucket": bucket, "transaction": posted.pk},
            organization=books.wallet.organization,
        )
    return posted


def _check_grant(amount_micro: int, bucket: str, idempotency_key: str, reason: str) -> None:
    if (
        isinstance(amount_micro, bool)
        or not isinstance(amount_micro, int)
        or not 0 < amount_micro <= MOST_AT_ONCE
    ):
        raise ApiError(
            "invalid_value",
            f"The amount must be a whole number of micro-credits from 1 to {MOST_AT_ONCE}. Nothing was granted.",
            param="amount",
        )
    if bucket not in (Kind.PURCHASED, Kind.PROMOTIONAL):
        raise ApiError(
            "invalid_value", "Credits go to purchased or promotional. Nothing was granted.", param="bucket"
        )
    if not reason.strip():
        raise ApiError("invalid_value", "A grant needs a reason. Nothing was granted.", param="reason")
    if not 0 < len(idempotency_key) <= 200:
        raise ApiError(
            "invalid_value", "The idempotency key must have 1 to 200 characters.", param="idempotency_key"
        )


def _expiry(bucket: str, expires_at: datetime | None, at: datetime) -> datetime | None:
    if bucket == Kind.PURCHASED:
        if expires_at is not None:
            message = "Purchased credits do not expire. Nothing was granted."
            raise ApiError("invalid_value", message, param="expires_at")
        return None
    if expires_at is not None and expires_at <= at:
        message = "Promotional credits need an expiry in the future. Nothing was granted."
        raise ApiError("invalid_value", message, param="expires_at")
    return expires_at or at + PROMOTION_LASTS


def open_promotional(books: Books, until: datetime) -> Account:
    """A new account for credits that are over at `until`."""
    opened = Account.objects.create(
        organization_id=books.wallet.pk, kind=Kind.PROMOTIONAL, balance=0, expires_at=until
    )
    books.accounts.append(opened)
    return opened


def credits_came(books: Books) -> None:
    """A low balance may be told again: credits were added."""
    if books.wallet.low_balance_told:
        books.wallet.low_balance_told = False
        books.wallet.save(update_fields=["low_balance_told"])


def receivable(books: Books) -> Account:
    """What the organization owes, as the account that is never above zero; opened at the first need."""
    known = next((a for a in books.accounts if a.kind == Kind.RECEIVABLE), None)
    if known is None:
        known = Account.objects.create(organization_id=books.wallet.pk, kind=Kind.RECEIVABLE, balance=0)
        books.accounts.append(known)
    return known


def owed(books: Books) -> int:
    """What the organization owes, in micro-credits."""
    return -sum(a.balance for a in books.accounts if a.kind == Kind.RECEIVABLE)


INSERT_HOLD = """
INSERT INTO billing_hold (id, organization_id, decision_id, subject, units_micro, amount, captured, state, held_at)
VALUES (%s, %s, %s, %s, %s, %s, 0, 'open', %s)
RETURNING id, expires_at
"""
INSERT_PARTS = """
INSERT INTO billing_holdpart (hold_id, account_id, position, amount, allowance_day)
SELECT %s, part.account, part.position - 1, part.amount, CASE WHEN part.daily THEN %s::date END
  FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[]) WITH ORDINALITY
    AS part (account, amount, daily, position)
"""
RESOLVE = """
UPDATE billing_hold SET state = %s, captured = %s, resolved_at = %s
 WHERE id = %s AND organization_id = %s AND state = 'open' RETURNING id
"""
PARTS = f"""
SELECT {batch.columns(HoldPart, "p")}, {batch.columns(Account, "a")}
  FROM billing_holdpart p JOIN billing_account a ON a.id = p.account_id WHERE p.hold_id = %s ORDER BY p.position
"""


def hold(
    books: Books,
    takes: Iterable[waterfall.Take],
    *,
    decision: Decision,
    at: datetime,
    number: int,
) -> tuple[Hold, list[batch.Statement]]:
    """Set aside what the decision allowed: the hold, and the statements that write it, for a batch of the caller's.

    `number` is the id of the hold, drawn from its sequence. A hold of nothing (a price of 0) is a row without a
    transaction.
    """
    taken = Hold(
        id=number,
        organization_id=books.wallet.pk,
        decision=decision,
        subject=decision.subject,
        units_micro=decision.units_micro,
        amount=decision.quote_micro,
        held_at=at,
    )
    columns = (number, taken.organization_id, decision.pk, taken.subject, taken.units_micro, taken.amount, at)
    written: list[batch.Statement] = [(INSERT_HOLD, columns)]
    takes = list(takes)
    if not takes:
        return taken, written
    by_id = {account.pk: account for account in books.accounts}
    accounts, amounts = [take.account for take in takes], [take.amount for take in takes]
    daily = [take.layer == waterfall.ALLOWANCE for take in takes]
    _, postings = posting_statements(
        books,
        [(books.own(Kind.HELD), taken.amount), *((by_id[take.account], -take.amount) for take in takes)],
        operation="hold",
        key=taken.subject,
        asked={"amount": taken.amount, "units_micro": taken.units_micro},
        kind=Transaction.Kind.HOLD,
        reason=f"Set aside for {decision.model}",
        hold=taken,
        at=at,
    )
    parts = (INSERT_PARTS, (number, books.wallet.allowance_day, accounts, amounts, daily))
    return taken, [*written, parts, *postings]


def capture(
    books: Books, held: Hold, amount_micro: int, *, charge: Charge, reason: str, at: datetime
) -> Transaction | None:
    """Take `amount_micro` of a hold, from its buckets in the order held, and release the rest: one transaction.

    Capturing nothing is a release. Returns the transaction, None for a hold of nothing. Raises `HoldResolved` where
    the hold was resolved before, ValueError for more than was held.
    """
    if not 0 <= amount_micro <= held.amount:
        raise ValueError(f"hold {held.pk} is of {held.amount}; {amount_micro} can't be captured")
    return _resolve(books, held, amount_micro, charge=charge, reason=reason, at=at)


def release(
    books: Books, held: Hold, *, reason: str, at: datetime, charge: Charge | None = None
) -> Transaction | None:
    """Give all of a hold back to its buckets. Raises `HoldResolved` where it was resolved before."""
    return _resolve(books, held, 0, charge=charge, reason=reason, at=at)


def expire_hold(books: Books, held: Hold) -> Transaction | None:
    """End a hold that ran out by the database's clock and give all of it back; the database refuses one that didn't."""
    return _resolve(
        books, held, 0, charge=None, reason="Nobody settled it in time", at=timezone.now(), expired=True
    )


def renew_holds(subjects: Collection[str], lasts: timedelta) -> int:
    """Let the open holds of these subjects last so long from now on, by the database's clock; how many."""
    mine = Hold.objects.filter(subject__in=subjects, state=Hold.State.OPEN)
    return mine.filter(expires_at__lt=Now() + lasts).update(expires_at=Now() + lasts)


def _resolve(
    books: Books,
    held: Hold,
    captured: int,
    *,
    charge: Charge | None,
    reason: str,
    at: datetime,
    expired: bool = False,
) -> Transaction | None:
    state = Hold.State.CAPTURED if captured else Hold.State.EXPIRED if expired else Hold.State.RELEASED
    resolved = (RESOLVE, (state, captured, at, held.pk, books.wallet.pk))
    was_open, parts = batch.run([resolved, (PARTS, (held.pk,))])
    if not was_open:
        raise HoldResolved(f"hold {held.pk} was resolved before")
    held.state, held.captured, held.resolved_at = state, captured, at
    if not held.amount:
        return None
    back = _released_parts([_part(row) for row in parts], captured)
    moves = [(books.own(Kind.HELD), -held.amount), *((part.account, amount) for part, amount in back)]
    posted = post(
        books,
        [*moves, (books.platform(Kind.REVENUE), captured)],
        operation="resolve",
        key=held.subject,
        asked={"captured": captured},
        kind=Transaction.Kind.CHARGE if captured else Transaction.Kind.RELEASE,
        reason=reason,
        hold=held,
        charge=charge,
        at=at,
    )
    expire_what_came_back_late(books, held, back, at)
    return posted


def _part(row: tuple) -> HoldPart:
    part, part.account = batch.instances([HoldPart, Account], row)
    return part


def _released_parts(parts: list[HoldPart], captured: int) -> list[tuple[HoldPart, int]]:
    """What goes back to each bucket when `captured` is taken from the parts in their order."""
    back = []
    for part in parts:
        taken = min(captured, part.amount)
        captured -= taken
        if part.amount > taken:
            back.append((part, part.amount - taken))
    return back

"""What is due before a use: promotions that ran out, yesterday's allowance and today's, the month's overage.

Under the lock on the wallet, in the caller's database transaction.
"""

import uuid
from datetime import datetime

from billing import allowance, overage
from billing.books import Books, utc_day
from billing.models import Account, Hold, HoldPart, Transaction
from billing.posting import post

Kind = Account.Kind

# Where each bucket's credits came from, and go back to when they expire.
SOURCE = {Kind.ALLOWANCE: Kind.ALLOWANCE, Kind.OVERAGE: Kind.OVERAGE}


def roll(books: Books, caps: allowance.Caps, *, at: datetime, overage_limit: int = 0) -> None:
    """Post what is due; nothing where nothing is. `overage_limit` is the contract's, 0 without one."""
    for account in books.expired(at):
        reason = "Rest of the overage" if account.kind == Kind.OVERAGE else "Promotional credits expired"
        expire(books, [(account, account.balance)], key=str(uuid.uuid4()), reason=reason, at=at)
    _roll_allowance(books, caps, at)
    if overage_limit or books.wallet.overage_granted:
        _roll_overage(books, overage_limit, at)


def _roll_allowance(books: Books, caps: allowance.Caps, at: datetime) -> None:
    state = books.allowance_state()
    due = allowance.roll(state, utc_day(at), caps)
    own, platform = books.own(Kind.ALLOWANCE), books.platform(Kind.ALLOWANCE)
    if due.expire:
        reason = f"Rest of the allowance of {state.day:%Y-%m-%d}"
        expire(books, [(own, due.expire)], key=f"allowance:{state.day}", reason=reason, at=at)
    if due.grant:
        post(
            books,
            [(own, due.grant), (platform, -due.grant)],
            operation="allowance",
            # What is granted for a day only grows, so the sum after this grant names it.
            key=f"{due.state.day}:{due.state.granted}",
            asked={"grant": due.grant},
            kind=Transaction.Kind.ALLOWANCE,
            reason=f"Allowance of {due.state.day:%Y-%m-%d}",
            at=at,
        )
    if due.state != state:
        _save_allowance(books, due.state)


def _roll_overage(books: Books, limit: int, at: datetime) -> None:
    state = books.overage_state()
    due = overage.roll(state, utc_day(at), limit)
    if due.state == state:
        return
    if due.grant or due.withdraw:
        account, platform = _overage_of(books, due.state), books.platform(Kind.OVERAGE)
        change = due.grant - due.withdraw
        post(
            books,
            [(account, change), (platform, -change)],
            operation="overage",
            key=str(uuid.uuid4()),  # a limit may go up and down again within a month
            asked={"change": change, "month": due.state.month},
            kind=Transaction.Kind.OVERAGE,
            reason=f"Overage of {due.state.month:%Y-%m} by contract",
            at=at,
        )
    books.keep_overage_state(due.state)
    books.wallet.save(update_fields=["overage_month", "overage_granted"])


def _overage_of(books: Books, state: overage.State) -> Account:
    """The month's overage account. One that is spent was not read with the books."""
    ends = overage.ends_at(state.month)
    known = next((a for a in books.accounts if a.kind == Kind.OVERAGE and a.expires_at == ends), None)
    if known is None:
        known, _ = Account.objects.get_or_create(
            organization_id=books.wallet.pk, kind=Kind.OVERAGE, expires_at=ends, defaults={"balance": 0}
        )
        books.accounts.append(known)
    return known


def expire(
    books: Books,
    amounts: list[tuple[Account, int]],
    *,
    key: str,
    reason: str,
    at: datetime,
    hold: Hold | None = None,
) -> None:
    """Take credits back to where they were granted from."""
    moves = []
    for account, amount in amounts:
        source = SOURCE.get(account.kind, Kind.GRANTS)
        moves += [(account, -amount), (books.platform(source), amount)]
    post(
        books,
        moves,
        operation="expiry",
        key=key,
        asked={"amounts": [[account.pk, amount] for account, amount in amounts]},
        kind=Transaction.Kind.EXPIRY,
        reason=reason,
        hold=hold,
        at=at,
    )


def expire_what_came_back_late(
    books: Books, held: Hold, back: list[tuple[HoldPart, int]], at: datetime
) -> None:
    """An allowance of an earlier day, and what ran out meanwhile, don't come back to be spent."""
    today, late, state = books.wallet.allowance_day, [], books.allowance_state()
    for part, amount in back:
        if part.allowance_day is not None and today is not None and part.allowance_day < today:
            state = allowance.given_back_late(state, part.allowance_day, amount)
            late.append((part.account, amount))
        elif part.account.expires_at is not None and part.account.expires_at <= at:
            late.append((part.account, amount))
    if late:
        reason = "Came back after its time was over"
        expire(books, late, key=f"hold:{held.pk}", reason=reason, at=at, hold=held)
        _save_allowance(books, state)


def _save_allowance(books: Books, state: allowance.State) -> None:
    books.keep_allowance_state(state)
    books.wallet.save(update_fields=["allowance_day", "allowance_day_granted", "allowance_month_spent"])

"""The one place that writes transactions and entries: what moved and why, idempotent by key."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from accounts import batch
from accounts.errors import ApiError
from accounts.models import User
from billing.books import Books
from billing.models import Account, Transaction

Moves = Iterable[tuple[Account, int]]

INSERT_TRANSACTION = """
INSERT INTO billing_transaction (id, organization_id, operation, idempotency_key, request_hash, kind, reason, hold_id,
  charge_id, payment_id, reverses_id, actor_id, available_after, held_after, at, written_in)
VALUES (nextval('billing_transaction_id_seq'), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0) RETURNING id
"""
# `currval` is this connection's own last number: the transaction that was written just before in the same batch.
INSERT_ENTRIES = """
INSERT INTO billing_entry (transaction_id, account_id, amount)
SELECT currval('billing_transaction_id_seq'), moved.account, moved.amount
  FROM unnest(%s::bigint[], %s::bigint[]) AS moved (account, amount)
"""


def post(
    books: Books, moves: Moves, *, operation: str, key: str, asked: dict, **about: object
) -> Transaction:
    """Write one balanced transaction. `about`: kind, reason, at, and where there is one hold, charge, payment,
    reverses, actor."""
    posted, statements = prepared(books, moves, operation=operation, key=key, asked=asked, **about)
    ((posted.pk,),) = batch.run(statements)[0]
    posted._state.adding = False
    return posted


def prepared(
    books: Books,
    moves: Moves,
    *,
    operation: str,
    key: str,
    asked: dict,
    **about: object,
) -> tuple[Transaction, list[batch.Statement]]:
    """A transaction and the statements that write it, for a batch of the caller's; the books move at once.

    Its id is drawn when it is written, so that ids follow the order in which a wallet's transactions were posted.
    """
    net: dict[Account, int] = defaultdict(int)
    for account, amount in moves:
        net[account] += amount
    for account, amount in net.items():
        books.move(account, amount)
    posted = Transaction(
        organization_id=books.wallet.pk,
        operation=operation,
        idempotency_key=key,
        request_hash=request_hash(asked),
        available_after=books.available,
        held_after=books.held,
        **about,
    )
    entries = [(account.pk, amount) for account, amount in net.items() if amount]
    columns = (
        posted.organization_id,
        operation,
        key,
        posted.request_hash,
        posted.kind,
        posted.reason,
        posted.hold_id,
        posted.charge_id,
        posted.payment_id,
        posted.reverses_id,
        posted.actor_id,
        posted.available_after,
        posted.held_after,
        posted.at,
    )
    written = ([account for account, _ in entries], [amount for _, amount in entries])
    return posted, [(INSERT_TRANSACTION, columns), (INSERT_ENTRIES, written)]


def reverse(
    books: Books, posted: Transaction, *, key: str, reason: str, at: datetime, actor: User | None = None
) -> Transaction:
    """The transaction that takes `posted` back whole; the database refuses a second one."""
    entries = posted.entries.select_related("account")
    return post(
        books,
        [(entry.account, -entry.amount) for entry in entries],
        operation="void",
        key=key,
        asked={"transaction": posted.pk},
        kind=Transaction.Kind.VOID,
        reason=reason,
        reverses=posted,
        payment_id=posted.payment_id,
        actor=actor,
        at=at,
    )


def posted_before(organization_id: int, operation: str, key: str, asked: dict) -> Transaction | None:
    """The first result of this key, if any. Raises `ApiError` idempotency_key_reused for another request."""
    first = Transaction.objects.filter(
        organization_id=organization_id, operation=operation, idempotency_key=key
    ).first()
    if first is not None and first.request_hash != request_hash(asked):
        raise reused(f"{operation} {key}")
    return first


def request_hash(asked: dict) -> str:
    """sha256, in hex, of what was asked for under an idempotency key."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def reused(what: str) -> ApiError:
    return ApiError(
        "idempotency_key_reused",
        f"{what} was asked for before with other contents. Nothing was changed; use a new key for a new request.",
    )

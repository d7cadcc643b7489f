"""A wallet's accounts as they stand under its lock (`open_books`), or as a use would find them (`preview_books`).

Reading only; what moves money is ledger.py.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from django.db import transaction

from accounts import batch
from billing import allowance, overage
from billing.models import Account, Wallet

Kind = Account.Kind
BUCKETS = (Kind.ALLOWANCE, Kind.PROMOTIONAL, Kind.PURCHASED, Kind.OVERAGE)
STANDING = (Kind.PURCHASED, Kind.ALLOWANCE, Kind.HELD)

LOCK = """
SELECT organization_id, rate_tat, allowance_day, allowance_day_granted, allowance_month_spent, overage_month,
       overage_granted, key_rates, low_balance_micro, low_balance_told
  FROM billing_wallet WHERE organization_id = %s
"""
WALLET = (
    "organization_id",
    "rate_tat",
    "allowance_day",
    "allowance_day_granted",
    "allowance_month_spent",
    "overage_month",
    "overage_granted",
    "key_rates",
    "low_balance_micro",
    "low_balance_told",
)
ACCOUNTS = """
SELECT id, organization_id, kind, balance, expires_at FROM billing_account
 WHERE organization_id = %s AND kind NOT IN ('promotional', 'overage')
 UNION ALL
SELECT id, organization_id, kind, balance, expires_at FROM billing_account
 WHERE organization_id = %s AND kind IN ('promotional', 'overage') AND balance > 0
 UNION ALL
SELECT id, organization_id, kind, balance, expires_at FROM billing_account WHERE organization_id IS NULL
 ORDER BY 5, 1
"""


class Books:
    """A wallet and its accounts, with balances kept in step while transactions are posted.

    `available` is what lies in the buckets and `held` what is set aside for open work, in micro-credits.
    """

    def __init__(self, wallet: Wallet, accounts: Iterable[Account]) -> None:
        self.wallet = wallet
        self.accounts = list(accounts)
        self.available = sum(account.balance for account in self.buckets())
        self.held = sum(account.balance for account in self.accounts if account.kind == Kind.HELD)

    def buckets(self) -> list[Account]:
        return [a for a in self.accounts if a.balance is not None and a.kind in BUCKETS]

    def own(self, kind: str) -> Account:
        """The wallet's purchased, allowance or held account."""
        return next(a for a in self.accounts if a.kind == kind and a.balance is not None)

    def platform(self, kind: str) -> Account:
        return next(a for a in self.accounts if a.kind == kind and a.balance is None)

    def allowance_state(self) -> allowance.State:
        wallet, balance = self.wallet, self.own(Kind.ALLOWANCE).balance
        return allowance.State(
            wallet.allowance_day, wallet.allowance_day_granted, wallet.allowance_month_spent, balance
        )

    def keep_allowance_state(self, state: allowance.State) -> None:
        self.wallet.allowance_day = state.day
        self.wallet.allowance_day_granted = state.granted
        self.wallet.allowance_month_spent = state.spent_before

    def overage_state(self) -> overage.State:
        month = self.wallet.overage_month
        ends = overage.ends_at(month) if month else None
        left = sum(a.balance for a in self.buckets() if a.kind == Kind.OVERAGE and a.expires_at == ends)
        return overage.State(month, self.wallet.overage_granted, left)

    def keep_overage_state(self, state: overage.State) -> None:
        self.wallet.overage_month, self.wallet.overage_granted = state.month, state.granted

    def expired(self, at: datetime) -> list[Account]:
        """Promotional and overage accounts that are over but still have something in them."""
        return [a for a in self.buckets() if a.expires_at is not None and a.expires_at <= at and a.balance]

    def move(self, account: Account, amount: int) -> None:
        """Keep the figures in memory in step; the stored balance is moved by the trigger on entries."""
        if account.balance is None:
            return
        # The same account may have been read twice; one that isn't stored yet is only itself.
        same = (a for a in self.accounts if a is account or (a.pk is not None and a.pk == account.pk))
        known = next(same, account)
        known.balance += amount
        if account.kind == Kind.HELD:
            self.held += amount
        elif account.kind in BUCKETS:
            self.available += amount


def wallet_for(organization_id: int) -> Wallet:
    """The organization's wallet, opened with its three standing accounts at first use."""
    wallet = Wallet.objects.filter(pk=organization_id).first()
    return wallet or _open_wallet(organization_id)


@transaction.atomic
def _open_wallet(organization_id: int) -> Wallet:
    # Two first uses at the same time: the second waits here for the first and then finds its rows.
    Wallet.objects.bulk_create([Wallet(organization_id=organization_id)], ignore_conflicts=True)
    Account.objects.bulk_create(
        [Account(organization_id=organization_id, kind=kind, balance=0) for kind in STANDING],
        ignore_conflicts=True,
    )
    return Wallet.objects.get(pk=organization_id)


def open_books(organization_id: int) -> Books:
    """Lock the wallet until the end of the caller's database transaction and read its accounts."""
    return open_and_read(organization_id, ())[0]


def open_and_read(
    organization_id: int, statements: Sequence[batch.Statement]
) -> tuple[Books, list[list[tuple]]]:
    """The same, and the rows of these statements, read under the lock in the same round trip."""
    everything = [(LOCK + " FOR UPDATE", (organization_id,)), _accounts(organization_id), *statements]
    found = batch.run(everything)
    if not found[0]:
        _open_wallet(organization_id)
        found = batch.run(everything)
    (wallet,), accounts, *rest = found
    return Books(stored_wallet(wallet), map(stored_account, accounts)), rest


def preview_books(organization_id: int, caps: allowance.Caps, at: datetime, overage_limit: int = 0) -> Books:
    """The books as a use at `at` would find them, without a lock and without writing: for quotes and balances."""
    wallet = Wallet.objects.filter(pk=organization_id).first() or Wallet(organization_id=organization_id)
    (found,) = batch.read([_accounts(organization_id)])
    accounts = with_standing(organization_id, [stored_account(row) for row in found])
    return preview(Books(wallet, accounts), caps, at, overage_limit)


def with_standing(organization_id: int, accounts: list[Account]) -> list[Account]:
    """Those accounts, and empty ones in place of the standing ones that aren't open yet."""
    present = {account.kind for account in accounts if account.balance is not None}
    return accounts + [
        Account(organization_id=organization_id, kind=k, balance=0) for k in STANDING if k not in present
    ]


def preview(books: Books, caps: allowance.Caps, at: datetime, overage_limit: int) -> Books:
    """Bring books in memory to where a use at `at` would find them; nothing is written."""
    for account in books.expired(at):
        books.move(account, -account.balance)
    due = allowance.roll(books.allowance_state(), utc_day(at), caps)
    books.move(books.own(Kind.ALLOWANCE), due.grant - due.expire)
    books.keep_allowance_state(due.state)
    _preview_overage(books, overage.roll(books.overage_state(), utc_day(at), overage_limit))
    return books


def _preview_overage(books: Books, due: overage.Roll) -> None:
    ends = overage.ends_at(due.state.month)
    account = next((a for a in books.accounts if a.kind == Kind.OVERAGE and a.expires_at == ends), None)
    if account is None and due.grant:
        account = Account(organization_id=books.wallet.pk, kind=Kind.OVERAGE, balance=0, expires_at=ends)
        books.accounts.append(account)
    if account is not None:
        books.move(account, due.grant - due.withdraw)
    books.keep_overage_state(due.state)


def _accounts(organization_id: int) -> batch.Statement:
    return ACCOUNTS, (organization_id, organization_id)


def stored_wallet(row: tuple) -> Wallet:
    wallet = batch.stored(Wallet, WALLET, row)
    wallet.key_rates = json.loads(wallet.key_rates)  # Django's connections hand JSON over as text
    return wallet


def stored_account(row: tuple) -> Account:
    return batch.stored(Account, ["id", "organization_id", "kind", "balance", "expires_at"], row)


def utc_day(at: datetime) -> date:
    return at.astimezone(UTC).date()

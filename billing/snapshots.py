"""Everything that a decision depends on, read under the lock on the wallet in one round trip."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from accounts import batch
from billing import budgets
from billing.books import Books, wallet_for, with_standing
from billing.models import Account, Operation, PriceVersion, Wallet
from billing.prices import NoPrice

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

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
PRICES = """
SELECT DISTINCT ON (operation) id, operation, micro_per_unit, micro_per_credit, effective_from
  FROM billing_priceversion WHERE operation = ANY(%s) AND effective_from <= %s
 ORDER BY operation, effective_from DESC
"""
FACTS = """
SELECT o.jobs, o.units,
       (SELECT h.decision_id FROM billing_hold h WHERE h.organization_id = %s AND h.subject = %s),
       (SELECT c.limit_month_micro FROM billing_overagecontract c
         WHERE c.organization_id = %s AND c.effective_from <= %s ORDER BY c.effective_from DESC LIMIT 1),
       (SELECT k.credits_micro FROM billing_autotopup t JOIN billing_creditpack k ON k.slug = t.pack_slug
         WHERE t.organization_id = %s AND t.state = 'on' AND k.on_sale AND k.effective_from <= %s
         ORDER BY k.effective_from DESC LIMIT 1),
       (SELECT s.low_balance_micro FROM billing_billingsettings s
         WHERE s.effective_from <= %s ORDER BY s.effective_from DESC LIMIT 1),
       (SELECT r.decision_id FROM billing_raterefusals r WHERE r.organization_id = %s
           AND r.minute = date_trunc('minute', %s::timestamptz) AND r.api_key_id IS NOT DISTINCT FROM %s
           AND r.cause = 'rate_limit_exceeded'),
       {number}
  FROM (SELECT count(*) AS jobs, coalesce(sum(units_micro), 0)::bigint AS units
          FROM billing_hold WHERE organization_id = %s AND state = 'open') o
"""
DRAWN, NOT_DRAWN = "nextval('billing_hold_id_seq')", "0"
KEEP = "UPDATE billing_wallet SET rate_tat = %s, key_rates = %s, low_balance_told = %s WHERE organization_id = %s"


@dataclass(frozen=True)
class Facts:
    """`hold_number` is drawn for this decision alone."""

    open_jobs: int
    units_in_flight_micro: int
    held_before: UUID | None  # the decision that holds for this subject
    overage_limit: int | None
    top_up_micro: int | None
    low_balance_micro: int
    refused_this_minute: UUID | None  # the decision of the minute's first refusal by rate
    hold_number: int


@dataclass(frozen=True)
class Opened:
    books: Books
    prices: dict[str, PriceVersion]
    facts: Facts
    budgets: list[budgets.Counted]

    def price(self, operation: str) -> PriceVersion:
        """Raises `NoPrice`."""
        if operation not in self.prices:
            raise NoPrice(f"no price in force for {operation}")
        return self.prices[operation]


def open_for(
    organization_id: int,
    user_id: int | None,
    api_key_id: int | None,
    operation: str,
    subject: str,
    now: datetime,
) -> Opened:
    """Lock the wallet until the end of the caller's database transaction, and read."""
    asked = (organization_id, user_id, api_key_id, operation, now)
    statements = _statements(LOCK + " FOR UPDATE", DRAWN, subject, *asked)
    found = batch.run(statements)
    if not found[0]:
        wallet_for(organization_id)
        found = batch.run(statements)
    return _opened(found, organization_id, now)


def look(
    organization_id: int, user_id: int | None, api_key_id: int | None, operation: str, now: datetime
) -> Opened:
    """The same without a lock and without drawing numbers, for quotes; a wallet that isn't open yet is an empty one."""
    asked = (organization_id, user_id, api_key_id, operation, now)
    found = batch.read(_statements(LOCK, NOT_DRAWN, "", *asked))
    return _opened(found, organization_id, now)


def _statements(
    wallet: str,
    number: str,
    subject: str,
    org: int,
    user_id: int | None,
    api_key_id: int | None,
    operation: str,
    now: datetime,
) -> list[batch.Statement]:
    facts = (org, subject, org, now, org, now, now, org, now, api_key_id, org)
    return [
        (wallet, (org,)),
        (ACCOUNTS, (org, org)),
        (PRICES, ([operation, Operation.ALLOWANCE], now)),
        (FACTS.replace("{number}", number), facts),
        budgets.applying(org, user_id, api_key_id, now),
    ]


def _opened(found: list[list[tuple]], organization_id: int, now: datetime) -> Opened:
    wallet, accounts, prices, (facts,), applying = found
    own = _wallet(wallet[0]) if wallet else Wallet(organization_id=organization_id)
    return Opened(
        Books(own, with_standing(organization_id, [_account(row) for row in accounts])),
        {row[1]: _price(row) for row in prices},
        Facts(*facts),
        budgets.counted(applying, now),
    )


def keep(
    wallet: Wallet, rate_tat: datetime, api_key_id: int | None, key_tat: datetime | None, now: datetime
) -> batch.Statement:
    """The statement that stores the rate windows of an allowed request; those of keys that are over go."""
    wallet.rate_tat = rate_tat
    rates = {key: at for key, at in wallet.key_rates.items() if at > _micros(now)}
    if key_tat is not None:
        rates[str(api_key_id)] = _micros(key_tat)
    wallet.key_rates = rates
    return KEEP, (rate_tat, Jsonb(rates), wallet.low_balance_told, wallet.pk)


def key_tat(wallet: Wallet, api_key_id: int | None) -> datetime | None:
    """When the next request of a key would arrive at its steady rate."""
    at = wallet.key_rates.get(str(api_key_id))
    return None if at is None else EPOCH + at * MICROSECOND


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _wallet(row: tuple) -> Wallet:
    wallet = batch.stored(Wallet, WALLET, row)
    wallet.key_rates = json.loads(wallet.key_rates)  # Django's connections hand JSON over as text
    return wallet


def _account(row: tuple) -> Account:
    return batch.stored(Account, ["id", "organization_id", "kind", "balance", "expires_at"], row)


def _price(row: tuple) -> PriceVersion:
    return batch.stored(
        PriceVersion, ["id", "operation", "micro_per_unit", "micro_per_credit", "effective_from"], row
    )

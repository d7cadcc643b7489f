"""Everything that decisions depend on, read under the lock on the wallet in one round trip."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from accounts import batch
from accounts.models import TierTerms
from billing import allowance, budgets, waterfall
from billing.books import (
    ACCOUNTS,
    LOCK,
    Books,
    open_and_read,
    stored_account,
    stored_wallet,
    with_standing,
)
from billing.limits import Budget
from billing.models import Account, Operation, PriceVersion, Wallet
from billing.prices import NoPrice

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

PRICES = """
SELECT DISTINCT ON (operation) id, operation, micro_per_unit, micro_per_credit, effective_from
  FROM billing_priceversion WHERE operation = ANY(%s) AND effective_from <= %s
 ORDER BY operation, effective_from DESC
"""
FACTS = """
SELECT o.jobs, o.units,
       (SELECT c.limit_month_micro FROM billing_overagecontract c
         WHERE c.organization_id = %s AND c.effective_from <= %s ORDER BY c.effective_from DESC LIMIT 1),
       (SELECT k.credits_micro FROM billing_autotopup t JOIN billing_creditpack k ON k.slug = t.pack_slug
         WHERE t.organization_id = %s AND t.state = 'on' AND k.on_sale AND k.effective_from <= %s
         ORDER BY k.effective_from DESC LIMIT 1),
       (SELECT s.low_balance_micro FROM billing_billingsettings s
         WHERE s.effective_from <= %s ORDER BY s.effective_from DESC LIMIT 1)
  FROM (SELECT count(*) AS jobs, coalesce(sum(units_micro), 0)::bigint AS units
          FROM billing_hold WHERE organization_id = %s AND state = 'open') o
"""
OWN = """
SELECT (SELECT h.decision_id FROM billing_hold h WHERE h.organization_id = %s AND h.subject = %s),
       (SELECT r.decision_id FROM billing_raterefusals r WHERE r.organization_id = %s
           AND r.minute = date_trunc('minute', %s::timestamptz) AND r.api_key_id IS NOT DISTINCT FROM %s
           AND r.cause = 'rate_limit_exceeded'),
       {number}
"""
DRAWN, NOT_DRAWN = "nextval('billing_hold_id_seq')", "0"
KEEP = "UPDATE billing_wallet SET rate_tat = %s, key_rates = %s, low_balance_told = %s WHERE organization_id = %s"


_LAYER_OF = {
    Account.Kind.ALLOWANCE: waterfall.ALLOWANCE,
    Account.Kind.PROMOTIONAL: waterfall.PROMOTIONAL,
    Account.Kind.PURCHASED: waterfall.PURCHASED,
    Account.Kind.OVERAGE: waterfall.OVERAGE,
}


@dataclass(frozen=True)
class Asked:
    """What a snapshot is taken for; `subject` is empty where nothing will be held."""

    organization_id: int
    user_id: int | None
    api_key_id: int | None
    operation: str
    subject: str
    at: datetime


@dataclass(frozen=True)
class Facts:
    """What is true of the organization, and of one request alone; `hold_number` is drawn for its decision alone."""

    open_jobs: int
    units_in_flight_micro: int
    overage_limit: int | None
    top_up_micro: int | None
    low_balance_micro: int
    held_before: UUID | None  # the decision that holds for this subject
    refused_this_minute: UUID | None  # the decision of the minute's first refusal by rate
    hold_number: int


@dataclass
class Taken:
    """What the earlier decisions under one lock took, of which the later ones' facts don't know yet."""

    jobs: int = 0
    units_micro: int = 0
    used: Counter[int] = field(default_factory=Counter)  # micro-credits by budget
    refused: dict[tuple, UUID] = field(
        default_factory=dict
    )  # a minute's first refusal by rate, by key and minute

    def hold(self, opened: "Opened", units_micro: int, amount: int) -> None:
        self.jobs, self.units_micro = self.jobs + 1, self.units_micro + units_micro
        self.used.update({budget.number: amount for budget in opened.budgets})


@dataclass(frozen=True)
class Opened:
    books: Books
    prices: dict[str, PriceVersion]
    facts: Facts
    budgets: list[Budget]

    def price(self, operation: str) -> PriceVersion:
        """Raises `NoPrice`."""
        if operation not in self.prices:
            raise NoPrice(f"no price in force for {operation}")
        return self.prices[operation]

    def after(self, taken: Taken) -> "Opened":
        """The same once that was taken; the books have moved with it."""
        if not taken.jobs:
            return self
        facts = replace(
            self.facts,
            open_jobs=self.facts.open_jobs + taken.jobs,
            units_in_flight_micro=self.facts.units_in_flight_micro + taken.units_micro,
        )
        counted = [replace(one, used=one.used + taken.used[one.number]) for one in self.budgets]
        return replace(self, facts=facts, budgets=counted)


def open_for(asked: Sequence[Asked]) -> list[Opened]:
    """Lock the wallet of these requests of one organization until the end of the caller's database transaction, and
    read; all of them share the books."""
    books, found = open_and_read(asked[0].organization_id, _statements(DRAWN, asked))
    return _opened(books, found, asked)


def look(asked: Asked) -> Opened:
    """The same without a lock and without drawing numbers, for quotes; a wallet that isn't open yet is an empty one."""
    org = asked.organization_id
    wallet, accounts, *found = batch.read(
        [(LOCK, (org,)), (ACCOUNTS, (org, org)), *_statements(NOT_DRAWN, [asked])]
    )
    own = stored_wallet(wallet[0]) if wallet else Wallet(organization_id=org)
    books = Books(own, with_standing(org, [stored_account(row) for row in accounts]))
    return _opened(books, found, [asked])[0]


def _statements(number: str, asked: Sequence[Asked]) -> list[batch.Statement]:
    """One that all of them share, then three of each."""
    org, latest = asked[0].organization_id, max(one.at for one in asked)
    statements = [(FACTS, (org, latest, org, latest, latest, org))]
    own = OWN.replace("{number}", number)
    for one in asked:
        statements += [
            (PRICES, ([one.operation, Operation.ALLOWANCE], one.at)),
            (own, (org, one.subject, org, one.at, one.api_key_id)),
            budgets.applying(org, one.user_id, one.api_key_id, one.at),
        ]
    return statements


def _opened(books: Books, found: list[list[tuple]], asked: Sequence[Asked]) -> list[Opened]:
    (shared,), *each = found
    opened = []
    for n, one in enumerate(asked):
        prices, (facts,), applying = each[3 * n : 3 * n + 3]
        priced = {row[1]: _price(row) for row in prices}
        opened.append(Opened(books, priced, Facts(*shared, *facts), budgets.counted(applying, one.at)))
    return opened


def snapshot(
    opened: Opened, terms: TierTerms, caps: allowance.Caps, now: datetime, api_key_id: int | None
) -> waterfall.Snapshot:
    books, facts = opened.books, opened.facts
    state = books.allowance_state()
    renews_at, renews_to = allowance.next_day(state, caps)
    per_key = None if api_key_id is None else terms.requests_per_minute_key
    return waterfall.Snapshot(
        now=now,
        limits=waterfall.Limits(
            terms.requests_per_minute, terms.max_open, terms.units_in_flight_micro, per_key
        ),
        rate_tat=books.wallet.rate_tat,
        open_jobs=facts.open_jobs,
        units_in_flight_micro=facts.units_in_flight_micro,
        buckets=tuple(_bucket(account, books) for account in books.buckets()),
        next_allowance_at=renews_at if renews_to else None,
        next_allowance=renews_to,
        key_tat=key_tat(books.wallet, api_key_id),
        budgets=tuple(opened.budgets),
        top_up_micro=facts.top_up_micro,
    )


def _bucket(account: Account, books: Books) -> waterfall.Bucket:
    limit = None
    if account.kind == Account.Kind.ALLOWANCE:
        limit = books.allowance_state().granted
    elif account.kind == Account.Kind.OVERAGE:
        limit = books.wallet.overage_granted
    return waterfall.Bucket(
        _LAYER_OF[account.kind], account.pk, account.balance, limit, expires_at=account.expires_at
    )


def remaining(books: Books, verdict: waterfall.Verdict, asked: waterfall.Request) -> dict[str, int]:
    """Micro-credits per bucket, available and held, once the decision is carried out."""
    shown = [layer for layer in waterfall.ORDER if layer != waterfall.OVERAGE or books.wallet.overage_granted]
    left = dict.fromkeys(shown, 0)
    for account in books.buckets():
        left[_LAYER_OF[account.kind]] += account.balance
    for take in verdict.takes:
        left[take.layer] -= take.amount
    held = books.held + (asked.amount if verdict.allowed else 0)
    return {**left, "available": sum(left.values()), "held": held}


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


def _price(row: tuple) -> PriceVersion:
    return batch.stored(
        PriceVersion, ["id", "operation", "micro_per_unit", "micro_per_credit", "effective_from"], row
    )

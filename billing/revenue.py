"""What came in and what is owed, over a span of days in UTC; every figure is a sum of entries, charges or balances.

Of customers: what the jobs that Backlot makes itself were charged stands in `own` alone.

Read models for the billing admin's pages and their CSV. Each function is one query, whatever the span; its SQL is in
revenue_queries.py. Amounts are micro-credits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection

from billing import revenue_queries as queries
from billing.models import Transaction

MOST_DAYS = 366


@dataclass(frozen=True)
class Span:
    """Whole days in UTC, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if not self.first <= self.last <= self.first + timedelta(days=MOST_DAYS - 1):
            raise ValueError(f"a span has 1 to {MOST_DAYS} days: {self.first} to {self.last}")

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


@dataclass(frozen=True)
class DayRow:
    """The revenue account's entries of one day and kind of line: charges in, refunds of charges out."""

    day: date
    kind: str
    lines: int
    micro: int

    @property
    def label(self) -> str:
        return Transaction.Kind(self.kind).label


@dataclass(frozen=True)
class Own:
    """What Backlot's own jobs were charged, which its included allowance paid."""

    lines: int
    micro: int


@dataclass(frozen=True)
class SourceRow:
    """What charges of a day took from one kind of bucket."""

    day: date
    bucket: str
    micro: int


@dataclass(frozen=True)
class ModelRow:
    model: str
    operation: str
    outcome: str
    count: int
    units_micro: int
    micro: int


@dataclass(frozen=True)
class OrganizationRow:
    slug: str
    name: str
    lines: int
    micro: int


@dataclass(frozen=True)
class KindRow:
    """Lines of one kind: how many, and what they did to the balances of all wallets together."""

    kind: str
    lines: int
    micro: int

    @property
    def label(self) -> str:
        return Transaction.Kind(self.kind).label


@dataclass(frozen=True)
class Unspent:
    """What lies in wallets now, by kind of account, and in how many."""

    kind: str
    wallets: int
    micro: int


@dataclass(frozen=True)
class PaymentRow:
    """Payments of the span by state, in cents and in credits."""

    state: str
    currency: str
    count: int
    cents: int
    micro: int
    refunded_cents: int


def by_day(span: Span) -> list[DayRow]:
    """Revenue by day and kind; with `own` it is what the revenue account's entries of the span sum to."""
    return [DayRow(*row) for row in _rows(queries.BY_DAY, span)]


def own(span: Span) -> Own:
    """Backlot's own part of the revenue account's entries."""
    return next(Own(*row) for row in _rows(queries.OWN, span))


def by_source(span: Span) -> list[SourceRow]:
    """Charges by day and the bucket that paid; together they are the charges of the span."""
    return [SourceRow(*row) for row in _rows(queries.BY_SOURCE, span)]


def by_model(span: Span) -> list[ModelRow]:
    """Usage by model, operation and outcome, the most charged first."""
    return [ModelRow(*row) for row in _rows(queries.BY_MODEL, span)]


def by_organization(span: Span, limit: int | None = None) -> list[OrganizationRow]:
    """Revenue by organization, the most first; all of them without a limit."""
    return [OrganizationRow(*row) for row in _rows(queries.BY_ORGANIZATION, span, limit=limit)]


def by_kind(span: Span) -> list[KindRow]:
    """Every kind of line of the span."""
    return [KindRow(*row) for row in _rows(queries.BY_KIND, span)]


def payments(span: Span) -> list[PaymentRow]:
    """Payments that were paid within the span, by the state they are in now."""
    return [PaymentRow(*row) for row in _rows(queries.PAYMENTS, span)]


def unspent() -> list[Unspent]:
    """What is owed to customers in credits, now: the balances of all wallets by kind."""
    return [Unspent(*row) for row in _rows(queries.UNSPENT)]


def unspent_by_day(span: Span) -> dict[str, list[int]]:
    """Kind of account → what lay in all wallets at the end of each day of the span.

    Counted back from the balances of now, in one snapshot: they are the sum of all entries there ever were.
    """
    moved: dict[str, dict[date, int]] = {}
    present: dict[str, int] = {}
    for kind, day, micro in _rows(queries.UNSPENT_BY_DAY, span):
        if day is None:
            present[kind] = micro
        else:
            moved.setdefault(kind, {})[day] = micro
    return {kind: _back_from(micro, moved.get(kind, {}), span) for kind, micro in present.items()}


def unspent_rows() -> Iterator[tuple]:
    """(organization, kind of account, expiry or None, micro-credits) of every account that isn't empty."""
    return _rows(queries.UNSPENT_ROWS)


def line_rows(span: Span, after: int, limit: int) -> list[tuple]:
    """Lines of the span after the line `after`: number, moment, organization, kind, reason, wallets, revenue.

    The last two are micro-credits: what the line did to its wallet and to the revenue account.
    """
    return list(_rows(queries.LINE_ROWS, span, after=after, limit=limit))


def _back_from(present: int, moved: dict[date, int], span: Span) -> list[int]:
    """Balances at the end of each day, from the present one and what each day since has moved."""
    balance = present - sum(micro for day, micro in moved.items() if day > span.last)
    ends = []
    for day in reversed(span.days):
        ends.append(balance)
        balance -= moved.get(day, 0)
    return ends[::-1]


def _rows(sql: str, span: Span | None = None, **asked: object) -> Iterator[tuple]:
    values = {"start": span.start, "end": span.end, **asked} if span else asked
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    for row in rows:
        yield tuple(int(value) if type(value).__name__ == "Decimal" else value for value in row)

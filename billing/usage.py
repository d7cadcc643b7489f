"""What was used and what it cost, by model, key, member or kind, down to the minute. Reading only; all times UTC.

Every figure is a sum over usage events and their charges, so over any span the charges add up to what the ledger
took, and what was given back later is counted beside them: charged less refunded is what reached revenue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from accounts.errors import ApiError
from billing.spans import Span

# What usage can be grouped by → the columns of its id and name.
GROUPS = {
    "model": ("u.model", "u.model"),
    "key": ("d.api_key_id::text", "k.name"),
    "member": ("d.user_id::text", "coalesce(nullif(m.name, ''), split_part(m.email, '@', 1))"),
    "kind": ("u.operation", "u.operation"),
    "outcome": ("u.outcome", "u.outcome"),
}
NO_NAME = {"key": "In the browser", "member": "Through an API key"}
GRAINS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
MOST_BUCKETS = 3_000  # on a page or in one answer of the API; a CSV has no such limit


@dataclass(frozen=True)
class Question:
    """Whose usage, when, and how it is grouped."""

    organization_id: int
    span: Span
    by: str = "model"
    grain: str = "hour"


@dataclass(frozen=True)
class Row:
    """One group in one bucket of time (`start` is None in a total). Money is micro-credits, work micro-units."""

    start: datetime | None
    id: str | None
    name: str
    requests: int
    charged_requests: int
    units_micro: int
    quantity: int
    charged_micro: int
    refunded_micro: int


_SELECT = """
SELECT {start}, {id}, {name}, count(*), count(*) FILTER (WHERE c.amount > 0), sum(u.units_micro), sum(u.quantity),
       sum(c.amount), coalesce(sum(back.amount), 0)
  FROM billing_usageevent u
  JOIN billing_charge c ON c.usage_event_id = u.id
  JOIN billing_hold h ON h.id = u.hold_id
  JOIN billing_decision d ON d.id = h.decision_id
  LEFT JOIN accounts_apikey k ON k.id = d.api_key_id
  LEFT JOIN accounts_user m ON m.id = d.user_id
  LEFT JOIN LATERAL (
      SELECT -sum(e.amount) AS amount FROM billing_transaction t
        JOIN billing_entry e ON e.transaction_id = t.id
        JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
       WHERE t.charge_id = c.id AND t.kind = 'refund') back ON true
 WHERE u.organization_id = %s AND u.at >= %s AND u.at < %s
 GROUP BY 1, 2, 3 ORDER BY {order}
"""


def question(organization_id: int, span: Span, by: str, grain: str) -> Question:
    """A checked question. Raises `ApiError` naming the field."""
    if by not in GROUPS:
        raise ApiError("invalid_value", f"`by` is one of {', '.join(GROUPS)}.", param="by")
    if grain not in GRAINS:
        raise ApiError("invalid_value", f"`grain` is one of {', '.join(GRAINS)}.", param="grain")
    return Question(organization_id, span, by, grain)


def usual_grain(span: Span) -> str:
    """The grain that shows a span best: minutes up to three hours, hours up to eight days, then days."""
    if span.length <= timedelta(hours=3):
        return "minute"
    return "hour" if span.length <= timedelta(days=8) else "day"


def fits(asked: Question) -> bool:
    """Whether the buckets of a question fit on a page; with fewer groups it may be less, never more per group."""
    return asked.span.length / GRAINS[asked.grain] <= MOST_BUCKETS


def rows(asked: Question) -> list[Row]:
    """Usage in buckets of time, oldest first; one query. Raises `ApiError` where the grain is too fine for the span."""
    if not fits(asked):
        raise ApiError(
            "invalid_value",
            f"By the {asked.grain} this span has more than {MOST_BUCKETS:,} buckets. Choose a coarser grain, a shorter "
            "span, or the CSV, which has no limit.",
            param="grain",
        )
    return list(_rows(asked, asked.span, f"date_trunc('{asked.grain}', u.at, 'UTC')", "1, 3, 2"))


def totals(asked: Question) -> list[Row]:
    """Usage of the whole span by group, the most expensive first; one query."""
    return list(_rows(asked, asked.span, "NULL::timestamptz", "8 DESC, 4 DESC, 3, 2"))


def total(found: list[Row]) -> Row:
    """The sum over some rows."""
    summed = ("requests", "charged_requests", "units_micro", "quantity", "charged_micro", "refunded_micro")
    return Row(None, None, "All", *(sum(getattr(row, name) for row in found) for name in summed))


def day_of(asked: Question, day: datetime) -> tuple[list[Row], datetime | None]:
    """The rows of the span's part within one UTC day from `day` on, and where the next part begins; for a CSV."""
    midnight = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    until = min(midnight, asked.span.until)
    start = f"date_trunc('{asked.grain}', u.at, 'UTC')"
    found = list(_rows(asked, Span(day, until), start, "1, 3, 2"))
    return found, until if until < asked.span.until else None


def _rows(asked: Question, span: Span, start: str, order: str) -> Iterator[Row]:
    number, name = GROUPS[asked.by]
    sql = _SELECT.format(start=start, id=number, name=name, order=order)
    with connection.cursor() as cursor:
        cursor.execute(sql, [asked.organization_id, span.since, span.until])
        for at, group, called, *figures in cursor.fetchall():
            yield Row(at, group, called or NO_NAME.get(asked.by, "–"), *map(int, figures))

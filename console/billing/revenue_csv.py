"""The revenue reports as CSV: whole, in UTC, in micro-credits (exact) and credits (to read). Sums are the ledger's."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from django.http import StreamingHttpResponse

from billing import csv_stream, revenue
from billing.revenue import Span

PAGE = 2_000  # lines read at once
MICRO = Decimal(1_000_000)

# name → what it holds, for people
REPORTS = {
    "days": "Revenue by day and kind",
    "sources": "Charges by day and bucket",
    "models": "Usage by model and outcome",
    "organizations": "Revenue by organization",
    "kinds": "Every kind of line",
    "payments": "Payments by state",
    "unspent": "Unspent credits now, by account",
    "lines": "Every line",
}
HEADERS: dict[str, tuple[str, ...]] = {
    "days": ("day_utc", "kind", "lines", "revenue_micro", "revenue_credits"),
    "sources": ("day_utc", "bucket", "charged_micro", "charged_credits"),
    "models": ("model", "operation", "outcome", "count", "units_micro", "charged_micro", "charged_credits"),
    "organizations": ("organization", "name", "lines", "revenue_micro", "revenue_credits"),
    "kinds": ("kind", "lines", "wallets_micro", "wallets_credits"),
    "payments": ("state", "currency", "count", "cents", "credits_micro", "refunded_cents"),
    "unspent": ("organization", "account", "expires_utc", "balance_micro", "balance_credits"),
    "lines": ("line", "at_utc", "organization", "kind", "reason", "wallet_micro", "revenue_micro"),
}


def response(report: str, span: Span) -> StreamingHttpResponse:
    """The download of one of `REPORTS`."""
    filename = f"revenue-{report}-{span.first}-{span.last}.csv"
    if report == "lines":
        return csv_stream.response(filename, HEADERS[report], _lines(span), 0)
    rows = _ROWS[report]
    return csv_stream.response(filename, HEADERS[report], lambda _: (rows(span), None), 0)


def _lines(span: Span) -> Callable[[int], tuple[list[tuple], int | None]]:
    def fetch(after: int) -> tuple[list[tuple], int | None]:
        found = revenue.line_rows(span, after, PAGE)
        rows = [(number, at.isoformat(), *rest) for number, at, *rest in found]
        return rows, found[-1][0] if len(found) == PAGE else None

    return fetch


def _unspent(span: Span) -> Iterable[tuple]:
    for slug, kind, expires_at, micro in revenue.unspent_rows():
        yield slug, kind, expires_at.isoformat() if expires_at else "", micro, micro / MICRO


_ROWS: dict[str, Callable[[Span], Iterable[tuple]]] = {
    "days": lambda span: ((r.day, r.kind, r.lines, r.micro, r.micro / MICRO) for r in revenue.by_day(span)),
    "sources": lambda span: ((r.day, r.bucket, r.micro, r.micro / MICRO) for r in revenue.by_source(span)),
    "models": lambda span: (
        (r.model, r.operation, r.outcome, r.count, r.units_micro, r.micro, r.micro / MICRO)
        for r in revenue.by_model(span)
    ),
    "organizations": lambda span: (
        (r.slug, r.name, r.lines, r.micro, r.micro / MICRO) for r in revenue.by_organization(span)
    ),
    "kinds": lambda span: ((r.kind, r.lines, r.micro, r.micro / MICRO) for r in revenue.by_kind(span)),
    "payments": lambda span: (
        (r.state, r.currency, r.count, r.cents, r.micro, r.refunded_cents) for r in revenue.payments(span)
    ),
    "unspent": _unspent,
}

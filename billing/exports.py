"""The statement and usage as CSV: whole, streamed, in UTC, in micro-credits (exact) and in credits (to read)."""

from decimal import Decimal

from django.http import StreamingHttpResponse

from billing import csv_stream, statement, usage

PAGE = 1_000  # lines read at once

STATEMENT_HEADER = (
    "line",
    "at_utc",
    "kind",
    "reason",
    "amount_credits",
    "amount_micro",
    "available_change_micro",
    "held_change_micro",
    "owed_change_micro",
    "balance_after_micro",
    "subject",
    "decision",
    "member",
    "api_key",
    "model",
    "outcome",
    "reason_code",
    "units_micro",
    "price_version",
    "micro_per_unit",
    "charge",
    "charge_micro",
    "payment",
)
USAGE_HEADER = (
    "start_utc",
    "by",
    "id",
    "name",
    "requests",
    "charged_requests",
    "units_micro",
    "quantity",
    "charged_credits",
    "charged_micro",
    "refunded_micro",
)


def statement_csv(organization_id: int, slug: str, only: statement.Filter) -> StreamingHttpResponse:
    """Every line that the filter lets through, oldest first, as things stood when it was asked for."""
    last = statement.newest_line(organization_id)

    def fetch(after: int) -> tuple[list[tuple], int | None]:
        lines = statement.lines_up_to(organization_id, last, after, PAGE, only)
        return [_statement_row(line) for line in lines], lines[-1].id if len(lines) == PAGE else None

    return csv_stream.response(f"statement-{slug}.csv", STATEMENT_HEADER, fetch, 0)


def usage_csv(asked: usage.Question, slug: str) -> StreamingHttpResponse:
    """Usage in buckets of time, day by day."""

    def fetch(day: object) -> tuple[list[tuple], object | None]:
        found, further = usage.day_of(asked, day)
        return [_usage_row(asked, row) for row in found], further

    since, until = asked.span.since, asked.span.until
    name = f"usage-{slug}-{asked.by}-{asked.grain}-{since:%Y%m%dT%H%M}-{until:%Y%m%dT%H%M}.csv"
    return csv_stream.response(name, USAGE_HEADER, fetch, since)


def credits_of(micro: int) -> Decimal:
    """Micro-credits as credits, exact to the sixth decimal."""
    return Decimal(micro).scaleb(-6)


def _statement_row(line: statement.Line) -> tuple:
    return (
        line.id,
        f"{line.at:%Y-%m-%dT%H:%M:%S.%f}Z",
        line.kind,
        line.reason,
        credits_of(line.amount_micro),
        line.amount_micro,
        line.available_change_micro,
        line.held_change_micro,
        line.owed_change_micro,
        line.balance_after_micro,
        line.subject,
        line.decision_id,
        line.member,
        line.api_key,
        line.model,
        line.outcome,
        line.reason_code,
        line.units_micro,
        line.price_version_id,
        line.micro_per_unit,
        line.charge_id,
        line.charge_micro,
        line.payment_id,
    )


def _usage_row(asked: usage.Question, row: usage.Row) -> tuple:
    return (
        f"{row.start:%Y-%m-%dT%H:%MZ}",
        asked.by,
        row.id,
        row.name,
        row.requests,
        row.charged_requests,
        row.units_micro,
        row.quantity,
        credits_of(row.charged_micro),
        row.charged_micro,
        row.refunded_micro,
    )

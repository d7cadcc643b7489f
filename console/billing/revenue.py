"""Revenue: what was charged and what paid for it, what is owed in credits, models, customers; charts, lines and CSV."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing import charts, revenue_lines
from billing import revenue as figures
from billing.models import Account, Transaction
from billing.revenue import MOST_DAYS, Span
from console.billing import revenue_csv
from console.billing.organizations import number

ADMIN = StaffRole.Role.BILLING_ADMIN
RANGES = {"7d": ("7 days", 7), "30d": ("30 days", 30), "90d": ("90 days", 90), "365d": ("365 days", 365)}
USUAL = "30d"
TOP, LINES = 10, 50
MICRO = 1_000_000
# The order in which buckets are spent is also the order in which they are stacked and named.
SOURCES = ("allowance", "promotional", "purchased", "overage")
OWED = ("purchased", "promotional", "held")


@require_GET
@staff(ADMIN)
def revenue(request: HttpRequest, person: User) -> HttpResponse:
    """`?range=30d`, or `?from=` and `?to=` as days of UTC, both included."""
    span, chosen = span_of(request)
    days, models = figures.by_day(span), figures.by_model(span)
    kinds = {row.kind: row for row in figures.by_kind(span)}
    unspent = {row.kind: row for row in figures.unspent()}
    page = {
        "span": span,
        "chosen": chosen,
        "ranges": [(name, words) for name, (words, _) in RANGES.items()],
        "query": urlencode({"from": span.first, "to": span.last}),
        "charged_micro": sum(row.micro for row in days if row.kind == Transaction.Kind.CHARGE),
        "net_micro": sum(row.micro for row in days),
        "own": figures.own(span),
        "unspent": unspent,
        "owed_micro": sum(unspent[kind].micro for kind in OWED if kind in unspent),
        "models": models,
        "kinds": kinds,
        "kind_rows": [row for row in kinds.values() if row.kind not in ("hold", "release")],
        "organizations": figures.by_organization(span, TOP),
        "payments": figures.payments(span),
        "source_chart": _source_chart(span, days),
        "unspent_chart": _unspent_chart(span),
        "model_chart": _model_chart(span, models),
        "reports": revenue_csv.REPORTS,
    }
    return render(request, "console/billing/revenue.html", page)


@require_GET
@staff(ADMIN)
def lines(request: HttpRequest, person: User) -> HttpResponse:
    """The lines behind a figure: `kind`, `model`, `organization`, `bucket` beside the span."""
    span, _ = span_of(request)
    given = {name: request.GET.get(name, "")[:100] for name in ("kind", "model", "organization", "bucket")}
    if given["kind"] and given["kind"] not in Transaction.Kind.values:
        raise ApiError("invalid_value", "`kind` is a kind of line.", param="kind")
    if given["bucket"] and given["bucket"] not in SOURCES:
        raise ApiError("invalid_value", f"`bucket` is one of {', '.join(SOURCES)}.", param="bucket")
    before = number(request.GET.get("before", ""), "before")
    found = revenue_lines.find(span, revenue_lines.Filter(**given), before, LINES)
    labels = {
        "kind": dict(Transaction.Kind.choices).get(given["kind"]),
        "bucket": dict(Account.Kind.choices).get(given["bucket"]),
        "model": given["model"],
        "organization": given["organization"],
    }
    page = {
        "span": span,
        "found": found,
        "narrowed": [words for words in labels.values() if words],
        "paged": before is not None,
        "query": urlencode({"from": span.first, "to": span.last}),
    }
    return render(request, "console/billing/revenue_lines.html", page)


@require_GET
@staff(ADMIN)
def csv(request: HttpRequest, person: User, report: str) -> StreamingHttpResponse:
    """One of the reports of `revenue_csv`; its sums are those of the ledger."""
    if report not in revenue_csv.REPORTS:
        raise ApiError("not_found", "There is no such report.")
    span, _ = span_of(request)
    return revenue_csv.response(report, span)


def span_of(request: HttpRequest) -> tuple[Span, str]:
    """The days that an address asks for, and the name of the range if it has one."""
    today = timezone.now().astimezone(UTC).date()
    given = request.GET
    if given.get("from") or given.get("to"):
        last = _day(given["to"], "to") if given.get("to") else today
        first = _day(given["from"], "from") if given.get("from") else last - timedelta(days=29)
        try:
            return Span(first, last), ""
        except ValueError:
            message = f"Choose 1 to {MOST_DAYS} days, the first before the last."
            raise ApiError("invalid_value", message, param="from") from None
    name = given.get("range", USUAL)
    if name not in RANGES:
        raise ApiError("invalid_value", f"`range` is one of {', '.join(RANGES)}.", param="range")
    return Span(today - timedelta(days=RANGES[name][1] - 1), today), name


def _day(text: str, param: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ApiError("invalid_value", f"`{param}` is a day, such as 2026-11-21.", param=param) from None


def _source_chart(span: Span, days: list[figures.DayRow]) -> charts.Chart:
    """Charges by day and what paid for them, refunds below the line; a bar leads to its lines."""
    by_bucket: dict[str, dict[date, int]] = defaultdict(dict)
    for row in figures.by_source(span):
        by_bucket[row.bucket][row.day] = row.micro
    series = [
        _series(span, Account.Kind(bucket).label, by_bucket[bucket], bucket=bucket)
        for bucket in SOURCES
        if bucket in by_bucket
    ]
    refunds = {row.day: row.micro for row in days if row.kind == Transaction.Kind.REFUND}
    if refunds:
        series.append(_series(span, Transaction.Kind.REFUND.label, refunds, kind="refund"))
    return charts.Chart(
        id="revenue",
        title="Revenue per day, by what paid",
        unit="credits",
        series=series,
        stacked=True,
        note="A bar opens its lines.",
    )


def _series(span: Span, label: str, by_day: dict[date, int], **link: str) -> charts.Series:
    return charts.Series(
        name=label,
        x=[_tick(day) for day in span.days],
        y=[by_day.get(day, 0) / MICRO for day in span.days],
        links=[_lines_of(day, day, **link) for day in span.days],
    )


def _unspent_chart(span: Span) -> charts.Chart:
    """What customers had unspent at the end of each day; a point leads to what moved that day."""
    found = figures.unspent_by_day(span)
    series = [
        charts.Series(
            name=Account.Kind(kind).label,
            x=[_tick(day) for day in span.days],
            y=[micro / MICRO for micro in found[kind]],
            links=[_lines_of(day, day) for day in span.days],
        )
        for kind in OWED
        if kind in found
    ]
    return charts.Chart(
        id="unspent",
        title="Unspent credits at the end of each day",
        unit="credits",
        series=series,
        kind="line",
        note="Purchased credits are what is owed.",
    )


def _model_chart(span: Span, models: list[figures.ModelRow]) -> charts.Chart:
    charged: dict[str, int] = defaultdict(int)
    for row in models:
        charged[row.model] += row.micro
    names = list(charged)[:TOP]
    series = charts.Series(
        name="Charged",
        x=names,
        y=[charged[name] / MICRO for name in names],
        links=[_lines_of(span.first, span.last, model=name) for name in names],
    )
    return charts.Chart(
        id="models",
        title="Charged by model",
        unit="credits",
        series=[series] if names else [],
        dates=False,
        x_head="Model",
    )


def _lines_of(first: date, last: date, **only: str) -> str:
    return f"{reverse('billing_revenue_lines')}?{urlencode({'from': first, 'to': last, **only})}"


def _tick(day: date) -> str:
    return charts.tick(datetime(day.year, day.month, day.day, tzinfo=UTC))[:10]

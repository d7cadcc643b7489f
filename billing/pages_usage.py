"""Usage: how much was asked for and what it cost, by model, key, member or kind; range and grouping in the address."""

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.identity import Caller
from billing import exports, spans, usage
from billing.charts import Chart, credit_series

RANGES = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", "month": "This month"}
GROUPS = {"model": "Model", "key": "Key", "member": "Member", "kind": "Kind", "outcome": "Outcome"}
GRAINS = {"minute": "Minute", "hour": "Hour", "day": "Day"}


@require_GET
@member("read")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Totals by group, and their course as a chart with its table."""
    asked = _asked(request, caller)
    buckets = usage.rows(asked)
    totals = usage.totals(asked) if buckets else []
    shown = {
        "asked": asked,
        "totals": totals,
        "total": usage.total(totals),
        "chart": _chart(asked, buckets),
        "ranges": RANGES.items(),
        "groups": GROUPS.items(),
        "grains": [(grain, words, _grain_fits(asked, grain)) for grain, words in GRAINS.items()],
        "group_name": GROUPS[asked.by],
        "range": asked.span.name,
        "statement_filter": asked.by if asked.by in ("model", "key", "member") else "",
    }
    return render(request, "billing/usage.html", shown)


@require_GET
@member("read")
def csv(request: HttpRequest, caller: Caller) -> StreamingHttpResponse:
    """The same question as a CSV, by the minute unless the address says otherwise."""
    span = spans.of(request.GET, timezone.now(), otherwise="24h")
    by, grain = request.GET.get("by") or "model", request.GET.get("grain") or "minute"
    asked = usage.question(caller.organization.pk, span, by, grain)
    return exports.usage_csv(asked, caller.organization.slug)


def _asked(request: HttpRequest, caller: Caller) -> usage.Question:
    span = spans.of(request.GET, timezone.now(), otherwise="24h")
    grain = request.GET.get("grain") or usage.usual_grain(span)
    return usage.question(caller.organization.pk, span, request.GET.get("by") or "model", grain)


def _grain_fits(asked: usage.Question, grain: str) -> bool:
    return usage.fits(usage.Question(asked.organization_id, asked.span, asked.by, grain))


def _chart(asked: usage.Question, buckets: list[usage.Row]) -> Chart:
    """Credits charged over time, stacked by group; only buckets in which something happened are drawn."""
    return Chart(
        id="usage",
        title=f"Credits charged by the {asked.grain}",
        note="Times in UTC.",
        unit="credits",
        series=credit_series((row.name, row.start, row.charged_micro) for row in buckets),
        stacked=True,
    )

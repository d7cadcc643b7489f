"""The owner's page: what the month costs and by whom, against budgets, how long jobs take, credits for late ones."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import member
from accounts.identity import Caller
from billing import spans, spending
from billing.charts import Chart, credit_series
from generation.scheduling import own_times


@require_GET
@member("billing")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """This month in UTC, up to now."""
    now = timezone.now()
    month = spending.month(caller.organization.pk, now)
    shown = {
        "month": month,
        "spenders": [(name, words, month.by[name]) for name, words in spending.GROUPS.items()],
        "times": own_times.times(caller.organization.pk, month.span.since, now),
        "chart": _chart(month),
        "ends_at": spans.next_month(now),
    }
    return render(request, "generation/spending.html", shown)


def _chart(month: spending.Month) -> Chart:
    """Net credits a day, stacked by model."""
    return Chart(
        id="spending",
        title="Credits a day, by model",
        note="Days in UTC; what was given back is taken off.",
        unit="credits",
        series=credit_series(
            (row.name, row.start, row.charged_micro - row.refunded_micro) for row in month.days
        ),
        stacked=True,
    )

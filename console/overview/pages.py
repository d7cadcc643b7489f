"""Operate → Overview: how things stand, the service levels, and charts that open the rows they count."""

import csv
import io

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from billing.charts import Chart, Mark, tick
from console.changes import kinds
from console.overview import asked as asking
from console.overview import drawing, figures, state
from console.overview.asked import Asked
from console.overview.figures import Figure
from console.overview.known import Known, there_are
from console.overview.plain import read_plainly

OPERATOR = StaffRole.Role.OPERATOR
MOST_MARKS = 60


@require_GET
@staff(OPERATOR)
@read_plainly
def overview(request: HttpRequest, person: User) -> HttpResponse:
    """The page; charts come one by one, each from an address of its own. The address holds range and filters."""
    known = there_are()
    asked = asking.ask(request.GET, timezone.now(), known)
    page = {
        **_frame(asked, known),
        "state": state.state(asked.only, known["tier"], asked.now),
        "changes": _changes(asked),
        "rows": [
            (words, [figure for figure in figures.FIGURES if figure.row == row])
            for row, words in figures.ROWS.items()
        ],
    }
    return render(request, "console/overview/overview.html", page)


@require_GET
@staff(OPERATOR)
@read_plainly
def now(request: HttpRequest, person: User) -> HttpResponse:
    """The first two rows of the page alone, for a page that has scripts."""
    known = there_are()
    asked = asking.ask(request.GET, timezone.now(), known)
    found = state.state(asked.only, known["tier"], asked.now)
    return render(request, "console/overview/now.html", {"state": found, "asked": asked})


@require_GET
@staff(OPERATOR)
@read_plainly
def chart(request: HttpRequest, person: User, name: str) -> HttpResponse:
    """One chart: a part of the page for scripts, a page of its own otherwise."""
    figure, known = _figure(name), there_are()
    asked = asking.ask(request.GET, timezone.now(), known)
    drawn = _chart(figure, asked, known)
    page = {"chart": drawn, "figure": figure, "asked": asked}
    if request.headers.get("HX-Request") == "true":
        return render(request, "console/overview/chart_part.html", page)
    return render(request, "console/overview/chart.html", {**page, **_frame(asked, known)})


@require_GET
@staff(OPERATOR)
@read_plainly
def chart_csv(request: HttpRequest, person: User, name: str) -> HttpResponse:
    """The figures of one chart, a row per step and a column per series."""
    figure, known = _figure(name), there_are()
    asked = asking.ask(request.GET, timezone.now(), known)
    drawn = _chart(figure, asked, known)
    written = io.StringIO()
    sheet = csv.writer(written)
    sheet.writerow(["from_utc", *(f"{one.name}, {drawn.unit}" for one in drawn.series)])
    steps = zip([tick(at) for at in asked.steps.starts], *(one.y for one in drawn.series), strict=True)
    sheet.writerows(["" if value is None else value for value in row] for row in steps)
    response = HttpResponse(written.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="overview-{name}.csv"'
    return response


def _figure(name: str) -> Figure:
    if name not in figures.BY_NAME:
        raise ApiError("not_found", "There is no such chart on the overview.")
    return figures.BY_NAME[name]


def _chart(figure: Figure, asked: Asked, known: Known) -> Chart:
    marks = [
        Mark(tick(entry.at), f"{kinds.of(entry).title}: {entry.target}, {entry.actor_name}")
        for entry in _changes(asked)
    ]
    return drawing.chart(figure.name, figure.title, figure.draw(asked, known), asked, marks)


def _changes(asked: Asked) -> list[AuditEntry]:
    """What operators changed in the span, the newest first; one query."""
    found = AuditEntry.objects.filter(
        action__in=kinds.NAMES, at__gte=asked.steps.since, at__lt=asked.steps.until
    )
    return list(found.order_by("-at", "-id")[:MOST_MARKS])


def _frame(asked: Asked, known: Known) -> dict:
    """The range picker and the filters, each choice as the rest of its address."""
    ranges = [
        (words, asked.with_(**{"range": name, "from": "", "to": ""}), name == asked.range)
        for name, (words, _) in asking.RANGES.items()
    ]
    filters = [
        (
            label,
            [
                ("All", asked.with_(**{name: ""}), name not in asked.only),
                *(
                    (words, asked.with_(**{name: value}), asked.only.get(name) == value)
                    for value, words in known[name].items()
                ),
            ],
        )
        for name, label in (("pool", "Pool"), ("tier", "Tier"), ("model", "Model"))
    ]
    compare = asked.with_(compare="" if asked.compare else asking.COMPARE)
    return {"asked": asked, "ranges": ranges, "filters": filters, "compare": compare}

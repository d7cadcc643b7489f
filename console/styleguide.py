"""`/styleguide`: the parts that pages are put together from, drawn by the very templates and styles that pages use."""

import re
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from billing.charts import Chart, Series
from console.palette.entries import Entry, Group
from console.templatetags.icons import PATHS

TOKENS = Path(settings.BASE_DIR) / "static" / "css" / "tokens.css"
SPACES = (4, 8, 16, 24)
# What each group of colours is for, by how the names of its tokens begin.
ROLES = (
    ("Neutrals", r"canvas|surface|sunken|raised|hover|line|control-line"),
    ("Ink", r"ink"),
    ("One accent", r"accent|on-accent|focus"),
    ("Fine", r"ok"),
    ("To know", r"notice"),
    ("To look at", r"warning"),
    ("Wrong", r"danger"),
    ("Tiers", r"tier"),
)
MINUTES = tuple(f"2026-01-01 12:{minute:02d}" for minute in range(0, 60, 10))
# Example figures: seconds that two tiers waited.
CHART = Chart(
    "styleguide-chart",
    "A chart",
    "s",
    (
        Series("Plus", MINUTES, (11, 12, 19, 34, 22, 14), tier="plus"),
        Series("Pro", MINUTES, (4, 4, 6, 9, 6, 5), tier="pro"),
    ),
    kind="line",
    note="Example figures. Direct labels, a dashed target, the table below; Plotly loads where a chart is.",
    target={"value": 30, "label": "target 30 s"},
)


def styleguide(request: HttpRequest) -> HttpResponse:
    """All parts on one page; `say=1` shows what a page says after a change."""
    if request.GET.get("say"):
        messages.success(request, "The change was made.")
    page = {
        "colours": colours(),
        "spaces": SPACES,
        "icons": sorted(PATHS),
        "chart": CHART,
        "now": timezone.now(),
        "groups": [
            Group("Go to", [Entry("Lanes", "lanes", "#palette", hint="Operate")]),
            Group("Do", [Entry("Buy credits", "coins", "#palette")]),
        ],
    }
    return render(request, "console/styleguide.html", page)


@cache
def colours() -> list[tuple[str, list[str]]]:
    """The colour tokens by what they are for, read from the stylesheet itself, so that none is forgotten here."""
    names = re.findall(r"^\s*--([a-z0-9-]+):\s*(?:light-dark\(#|#)", TOKENS.read_text(), re.MULTILINE)
    return [
        (words, [name for name in names if re.fullmatch(rf"(?:{begin})(?:-[a-z0-9]+)*", name)])
        for words, begin in ROLES
    ]

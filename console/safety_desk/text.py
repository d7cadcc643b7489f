"""The text filter: what it costs per stage, what it refused last and by what, and which topics it refuses."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.models import StaffRole, User
from billing import charts
from generation import safety_tax
from generation.safety_tax import StageTax
from safety.models import Category
from safety.prefilter import text_stages

SHOWN = 50
TARGET_MS = 30


@dataclass(frozen=True)
class Range:
    """A choice of the page: how far back, in how many steps."""

    slug: str
    label: str
    back: timedelta
    bucket: timedelta


RANGES = (
    Range("1h", "1 hour", timedelta(hours=1), timedelta(minutes=2)),
    Range("24h", "24 hours", timedelta(hours=24), timedelta(minutes=30)),
    Range("7d", "7 days", timedelta(days=7), timedelta(hours=4)),
)
STAGES = (*("rules", "similarity", "classifier", "guard"), "suspension")


@require_GET
@staff(StaffRole.Role.TRUST_SAFETY)
def text(request: HttpRequest, person: User) -> HttpResponse:
    """The page; `?range=1h|24h|7d`, `?category=` and `?stage=` choose what is listed."""
    chosen = next((one for one in RANGES if one.slug == request.GET.get("range")), RANGES[1])
    category = _known(request.GET.get("category", ""), Category.values)
    stage = _known(request.GET.get("stage", ""), STAGES)
    now = timezone.now()
    since = now - chosen.back
    tax = safety_tax.tax(since, now, chosen.bucket)
    limits, _ = text_stages.live(now)
    return render(
        request,
        "console/safety/text.html",
        {
            "ranges": RANGES,
            "range": chosen,
            "chart": _chart(tax, chosen, since, now),
            "whole": [one for one in tax if one.bucket is None],
            "counts": safety_tax.refusals_by_stage(since, now),
            "topics": _topics(since, now),
            "refusals": safety_tax.last_refusals(SHOWN, category=category, stage=stage),
            "limits": [(kind, limit) for kind, stages in limits.items() for limit in stages.limits],
            "examples": sum(len(stages.examples) for stages in limits.values()),
            "categories": Category.choices,
            "category": category,
            "stages": STAGES,
            "stage": stage,
        },
    )


def _known(value: str, known: list[str] | tuple[str, ...]) -> str:
    return value if value in known else ""


def _chart(tax: list[StageTax], chosen: Range, since: datetime, now: datetime) -> charts.Chart:
    parts = [one for one in tax if one.bucket is not None]
    totals = [one for one in parts if one.stage == safety_tax.TOTAL]
    series = [_line("all stages, p99", totals, "p99_ms"), _line("all stages, p50", totals, "p50_ms")]
    for stage in safety_tax.STAGES:
        if own := [one for one in parts if one.stage == stage]:
            series.append(_line(f"{stage}, p50", own, "p50_ms"))
    return charts.Chart(
        id="tax",
        title="Safety tax of a text",
        unit="ms",
        series=series if totals else [],
        kind="line",
        target={"value": TARGET_MS, "label": f"{TARGET_MS} ms"},
        note=f"The last {chosen.label}.",
        span=(charts.tick(since), charts.tick(now)),
    )


def _line(name: str, points: list[StageTax], figure: str) -> charts.Series:
    return charts.Series(
        name, [charts.tick(one.bucket) for one in points], [round(getattr(one, figure), 3) for one in points]
    )


def _topics(since: datetime, now: datetime) -> list[dict]:
    return [
        {
            "topic": topic,
            "admitted": int(admitted),
            "refused": int(refused),
            "share": refused / (admitted + refused),
        }
        for topic, admitted, refused in safety_tax.by_topic(since, now)
    ]

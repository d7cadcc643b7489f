"""Costs: the sandbox, the clip, the bad days as published and as they would be here, and what devices cost lately."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.doors import staff
from accounts.models import StaffRole, User
from billing.charts import Chart, Series
from console.operations import cost_questions
from console.operations.bad_days import bad_days
from console.operations.cost_questions import Asked
from generation import early_look
from generation.costs import measured, summary
from generation.costs.summary import Summary
from generation.policy.fleet_cost import clip, published, sandbox

OPERATOR = StaffRole.Role.OPERATOR
RANGES = {
    "1h": ("1 h", timedelta(hours=1)),
    "24h": ("24 h", timedelta(days=1)),
    "7d": ("7 d", timedelta(days=7)),
}
USUAL = "24h"
TARGETS_S = (30, 45, 60, 90, 120, 180, 240, 360, 480)
MICRO = 1_000_000


@dataclass(frozen=True)
class AsMeasured:
    """The sandbox's question answered with this deployment's clip: devices at full use, micro-dollars an hour."""

    gpus: int
    hour_micro_dollars: int
    request_micro_dollars: int


@require_GET
@staff(OPERATOR)
def costs(request: HttpRequest, person: User) -> HttpResponse:
    """The page; its address holds every figure of the forms and the range of what is measured."""
    page = _page(request)
    return render(request, "console/operations/costs.html", page, status=400 if page["asked"].errors else 200)


@require_GET
@staff(OPERATOR)
def figures(request: HttpRequest, person: User) -> HttpResponse:
    """What was computed, for a page that has scripts; the page's address follows."""
    page = _page(request)
    response = render(request, "console/operations/cost_figures.html", page)
    here = {**page["asked"].changed, **({"range": page["chosen"]} if page["chosen"] != USUAL else {})}
    address = reverse("operate_costs")
    response["HX-Replace-Url"] = f"{address}?{urlencode(here)}" if here else address
    return response


def _page(request: HttpRequest) -> dict:
    now = timezone.now()
    asked = cost_questions.ask(request.GET)
    chosen = request.GET.get("range", USUAL)
    chosen = chosen if chosen in RANGES else USUAL
    found = measured.measured(now - RANGES[chosen][1], now)
    ours = summary.summary(found)
    answer = sandbox.answer(asked.sandbox, asked.reference)
    return {
        "asked": asked,
        "sandbox_fields": asked.filled(cost_questions.SANDBOX),
        "reference_fields": asked.filled(cost_questions.REFERENCE),
        "clip_fields": asked.filled(cost_questions.CLIP),
        "event_fields": asked.filled(cost_questions.EVENTS),
        "answer": answer,
        "as_measured": _as_measured(asked, ours),
        "target_chart": _target_chart(asked),
        "clip": clip.clip_cost(asked.clip),
        "others": clip.OTHERS,
        "found": found,
        "ours": ours,
        "early": early_look.saved(found.since, now),
        "prices": [price for price in found.prices if price.until == now],
        "past_prices": [price for price in found.prices if price.until != now],
        "waste_chart": _waste_chart(ours),
        "between": published.BETWEEN,
        "ranges": [(name, words) for name, (words, _) in RANGES.items()],
        "chosen": chosen,
        "query": urlencode(asked.changed),
        **_bad_days(asked, found, now),
    }


def _bad_days(asked: Asked, found: measured.Measured, now: datetime) -> dict:
    fleet = summary.fleet(found, asked.on_call_hour_micro_dollars, now)
    failing = summary.failing_share(found)
    return {"fleet": fleet, "failing_share": failing, "bad_days": bad_days(asked.events, fleet)}


def _as_measured(asked: Asked, ours: Summary) -> AsMeasured | None:
    """At full use, without overhead for peaks: the least that the rate can be served with."""
    if ours.clip_gpu_s is None:
        return None
    question = asked.sandbox
    effective = Fraction(question.per_s * (1 - question.cache_hits))
    gpus = ceil(effective * Fraction(ours.gpu_ms, 1000 * ours.delivered))
    hour = gpus * question.gpu_hour_micro_dollars
    return AsMeasured(gpus, hour, sandbox.half_up(Fraction(hour) / (Fraction(question.per_s) * 3_600)))


def _target_chart(asked: Asked) -> Chart:
    """Hourly burn over the latency target, all else as asked."""
    answers = [
        sandbox.answer(replace(asked.sandbox, p99_target_s=Decimal(target)), asked.reference)
        for target in TARGETS_S
    ]
    series = Series(
        name="Hourly burn",
        x=[f"{target} s" for target in TARGETS_S],
        y=[one.hour_micro_dollars / MICRO for one in answers],
    )
    return Chart(
        id="burn-by-target",
        title="Hourly burn by latency target",
        unit="$/h",
        series=[series],
        kind="line",
        dates=False,
        x_head="p99 target",
        note="All else as asked.",
        target={
            "value": sandbox.answer(asked.sandbox, asked.reference).hour_micro_dollars / MICRO,
            "label": "as asked",
        },
    )


def _waste_chart(ours: Summary) -> Chart:
    shown = [one for one in (*ours.waste, ours.cancelled) if one.attempts]
    series = Series(
        name="Device time", x=[one.label for one in shown], y=[one.gpu_ms / 1000 for one in shown]
    )
    return Chart(
        id="waste",
        title="Device time that became no clip",
        unit="GPU-s",
        series=[series] if shown else [],
        dates=False,
        x_head="Cause",
    )

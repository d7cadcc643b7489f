"""Figures that a change is meant to move, each measured over a span of time from the rows. A few queries each.

A span ends at a moment of the past, so that "before" can be measured minutes afterwards as well as "after".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Q, QuerySet, Sum

from accounts.models import AuditEntry, OperationalEvent
from billing.models import RateRefusals
from console.alarms import measuring
from console.models import AlarmCount, AlarmRound
from generation import late_credit_actions
from generation.models import JobEvent, Kind, Lane, State
from generation.scheduling import queue_waits
from safety.models import ReviewItem

Measure = Callable[[datetime, datetime], float | None]
MINUTE = timedelta(minutes=1)
MOST_ROWS = 50_000  # the newest refusals that are looked through


@dataclass(frozen=True)
class Figure:
    """A figure by its name and what it is about. `measure(since, until)` is in `unit`, None where nothing was there.

    `better` says which way is better, -1 or 1; 0 where neither is.
    """

    name: str
    scope: str
    measure: Measure


@dataclass(frozen=True)
class Words:
    """How a figure is called, and its unit: "s", "a minute", "%" (of a share), or "" for a count."""

    title: str
    unit: str
    better: int = -1


WORDS = {
    "lane_wait": Words("p95 queue wait", "s"),
    "pool_completions": Words("jobs finished", "a minute", 1),
    "worker_trouble": Words("attempts lost, failed or not finite", "a minute"),
    "not_finite": Words("clips not finite", "%"),
    "refused": Words("requests refused by the text filter", "a minute", 0),
    "requests_of": Words("clips of the category begun", "a minute"),
    "rejected": Words("clips blocked after decoding", "%", 0),
    "in_review": Words("delivered clips that wait in review", "", 0),
    "delivered": Words("of them still delivered", ""),
    "signed": Words("clips signed and delivered", "a minute", 1),
    "without_credit": Words("breached clips without their credit", ""),
}


def lane_wait(slug: str) -> Figure:
    """p95 queue wait of a lane at the end of the span, waiting jobs with their age."""

    def measure(since: datetime, until: datetime) -> float | None:
        pool = Lane.objects.values_list("pool_id", flat=True).get(pk=slug)
        wait = queue_waits.per_lane_now(pool, until).get(slug)
        return None if wait is None else wait.p95_s

    return Figure("lane_wait", slug, measure)


def pool_completions(slug: str) -> Figure:
    def measure(since: datetime, until: datetime) -> float | None:
        ended = _events(since, until).filter(to_state=State.DELIVERED, job__lane__pool=slug)
        return _a_minute(ended.count(), since, until)

    return Figure("pool_completions", slug, measure)


def worker_trouble(worker: str) -> Figure:
    """Of the worker's whole pool: what it no longer breaks, another one may."""

    def measure(since: datetime, until: datetime) -> float | None:
        kinds = ("attempt.lost", "attempt.failed", "clip.not_finite")
        events = OperationalEvent.objects.filter(kind__in=kinds, at__gte=since, at__lt=until)
        return _a_minute(events.count(), since, until)

    return Figure("worker_trouble", worker, measure)


def not_finite() -> Figure:
    return Figure("not_finite", "", _share("not_finite"))


def rejected() -> Figure:
    return Figure("rejected", "", _share("rejections"))


def _share(measure: str) -> Measure:
    """Bad of all that alarms counted, over every scope."""

    def measured(since: datetime, until: datetime) -> float | None:
        steps = AlarmCount.objects.filter(measure=measure)
        steps = steps.filter(at__gte=measuring.step_of(since), at__lt=measuring.step_of(until))
        found = steps.aggregate(bad=Sum("bad", default=0), total=Sum("total", default=0))
        return found["bad"] / found["total"] if found["total"] else None

    return measured


def refused(category: str) -> Figure:
    """Requests that the text filter refused, of a category or ("") of all."""

    def measure(since: datetime, until: datetime) -> float | None:
        whole = since.replace(second=0, microsecond=0)
        newest = RateRefusals.objects.aggregate(pk=Max("pk"))["pk"] or 0
        rows = RateRefusals.objects.filter(pk__gt=newest - MOST_ROWS, minute__gte=whole, minute__lt=until)
        rows = rows.exclude(cause=RateRefusals.RATE)
        if category:
            rows = rows.filter(cause__endswith=f":{category}")
        count = rows.aggregate(sum=Sum("refused", default=0))["sum"]
        return _a_minute(count, whole, until)

    return Figure("refused", category, measure)


def requests_of(category: str) -> Figure:
    def measure(since: datetime, until: datetime) -> float | None:
        begun = _events(since, until).filter(to_state=State.RUNNING, job__screening__category=category)
        return _a_minute(begun.count(), since, until)

    return Figure("requests_of", category, measure)


def in_review() -> Figure:
    """Items about delivered clips that waited at the end of the span."""

    def measure(since: datetime, until: datetime) -> float | None:
        items = ReviewItem.objects.exclude(kind=ReviewItem.Kind.SCAN).filter(opened_at__lte=until)
        return items.filter(Q(closed_at=None) | Q(closed_at__gt=until)).count()

    return Figure("in_review", "", measure)


def delivered(entry: AuditEntry) -> Figure | None:
    """How many of the withdrawn clips were delivered at the end of the span, by their events; None where the entry
    does not name them."""
    kind, _, job = entry.target.partition(":")
    named = (entry.after or {}).get("jobs") or ([job] if kind == "job" else [])
    if not named:
        return None

    def measure(since: datetime, until: datetime) -> float | None:
        events = JobEvent.objects.filter(job__in=named, at__lte=until).order_by("job", "-at", "-pk")
        newest = events.distinct("job").values_list("to_state", flat=True)
        return sum(state == State.DELIVERED for state in newest)

    return Figure("delivered", "", measure)


def signed() -> Figure:
    def measure(since: datetime, until: datetime) -> float | None:
        signed_clips = _events(since, until).filter(to_state=State.DELIVERED, job__kind=Kind.CLIP)
        return _a_minute(signed_clips.count(), since, until)

    return Figure("signed", "", measure)


def without_credit(window: str) -> Figure:
    """Of the window that credits were granted for; before that is what the entry found."""
    since_text, _, until_text = window.partition("/")
    begin, end = (datetime.fromisoformat(f"{text}+00:00") for text in (since_text, until_text))

    def measure(since: datetime, until: datetime) -> float | None:
        found, _ = late_credit_actions.breached(begin, end, until)
        return len(found)

    return Figure("without_credit", window, measure)


def _events(since: datetime, until: datetime) -> QuerySet[JobEvent]:
    """Changes of jobs in a span, found by their number: the alarms' rounds know the newest one of each minute."""
    marks = AlarmRound.objects.filter(minute__lt=since - 2 * MINUTE)
    after = marks.aggregate(mark=Max("job_event_id"))["mark"]
    if after is None:
        after = (JobEvent.objects.aggregate(pk=Max("pk"))["pk"] or 0) - measuring.FIRST_LOOK
    return JobEvent.objects.filter(pk__gt=after, at__gte=since, at__lt=until)


def _a_minute(count: int, since: datetime, until: datetime) -> float:
    return count * MINUTE / (until - since)

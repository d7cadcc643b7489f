"""Pools, the auto-raise rule, preemptions and the calibration of estimates, as operators see them. Reading only."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Sum

from accounts import overrides
from accounts.models import OperationalEvent, Override
from generation.models import EndpointLoad, Job, Lane, Pool, PoolOverride, RaiseRuleOverride, Worker
from generation.scheduling import pool_settings, told
from generation.scheduling.setting_actions import POOL_SETTINGS, RAISE_SETTINGS, Setting

PREEMPTIONS_SHOWN = 12
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Value:
    """One setting in force, in words, with the override that made it so."""

    field: str
    setting: Setting
    words: str
    override: Override | None


@dataclass(frozen=True)
class PoolRow:
    pool: Pool
    slots: int
    values: list[Value]
    load: EndpointLoad | None


@dataclass(frozen=True)
class RuleRow:
    lane: Lane
    values: list[Value]


@dataclass(frozen=True)
class Preemption:
    """One job that gave way: what for, at which step, how long it took to, and its place afterwards."""

    at: datetime
    job: Job | None
    detail: dict


def pools(now: datetime) -> list[PoolRow]:
    """Every pool; six queries."""
    live = Worker.objects.filter(stopped_at=None, desired=Worker.Desired.RUN)
    slots = dict(live.values_list("pool").annotate(Sum("slots")).values_list("pool", "slots__sum"))
    loads = {load.pool_id: load for load in EndpointLoad.objects.all()}
    standing = _in_force(PoolOverride.objects.filter(removed_at=None), "pool_id", now)
    terms = pool_settings.pools(now)
    rows = []
    for pool in Pool.objects.order_by("slug"):
        values = _values(POOL_SETTINGS, asdict(terms[pool.pk]), standing, pool.pk)
        rows.append(PoolRow(pool, slots.get(pool.pk, 0), values, loads.get(pool.pk)))
    return rows


def rules(now: datetime) -> list[RuleRow]:
    """The auto-raise rule of every lane that has one; four queries."""
    standing = _in_force(RaiseRuleOverride.objects.filter(removed_at=None), "lane_id", now)
    found = pool_settings.raise_rules(now)
    lanes = Lane.objects.filter(pk__in=found).select_related("tier").order_by("pool_id", "tier__rank")
    return [
        RuleRow(lane, _values(RAISE_SETTINGS, asdict(found[lane.pk]), standing, lane.pk)) for lane in lanes
    ]


def preemptions() -> list[Preemption]:
    """The newest; two queries."""
    events = list(
        OperationalEvent.objects.filter(kind="attempt.preempted").order_by("-at")[:PREEMPTIONS_SHOWN]
    )
    ids = [UUID(event.subject.partition(":")[2]) for event in events]
    jobs = Job.objects.in_bulk(ids)
    return [Preemption(event.at, jobs.get(pk), event.detail) for event, pk in zip(events, ids, strict=True)]


def preemptions_last_hour(now: datetime) -> int:
    return OperationalEvent.objects.filter(kind="attempt.preempted", at__gte=now - HOUR).count()


def calibration(now: datetime) -> list[told.Calibration]:
    return told.calibration(now)


def _in_force(rows: Iterable[Override], key: str, now: datetime) -> dict[tuple[str, str], Override]:
    """Row and field → the override that is in force."""
    found: dict[tuple[str, str], Override] = {}
    for row in sorted(rows, key=lambda one: (one.created_at, one.pk)):
        if overrides.in_force(row, now):
            found[getattr(row, key), row.field] = row
    return found


def _values(
    settings: Mapping[str, Setting],
    values: Mapping[str, object],
    standing: Mapping[tuple[str, str], Override],
    slug: str,
) -> list[Value]:
    return [
        Value(field, setting, setting.words(values[field]), standing.get((slug, field)))
        for field, setting in settings.items()
    ]

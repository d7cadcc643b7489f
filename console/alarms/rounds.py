"""A round of alarms, every few seconds: count, look, write what changed, open incidents, tell people by the outbox."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import F

from accounts.models import OperationalEvent
from console.alarms import measuring, paging, terms
from console.alarms.policy.catalog import ALARMS, Alarm
from console.alarms.policy.conditions import Seen, Terms
from console.alarms.policy.history import Moment
from console.alarms.policy.replay import next_standing
from console.alarms.policy.standing import QUIET, Change, Standing, Transition
from console.incidents import openings
from console.models import AlarmCount, AlarmFiring, AlarmLevel, AlarmRound, AlarmState
from generation.rounds import is_mine

KEPT, LEVELS_KEPT = timedelta(days=4), timedelta(hours=26)
COARSE_S = 600
EVIDENCE_SHOWN, EVIDENCE_OVER = 10, timedelta(minutes=10)
# The operational events that stand behind an alarm, beside its figures.
EVIDENCE = {
    "not_finite": ("clip.not_finite", "worker.quarantined"),
    "rejections": ("safety.frames_blocked",),
    "retries": ("attempt.lost", "attempt.failed"),
    "ledger_drift": ("billing.drift",),
    "unsafe_delivery": ("verification.failed",),
    "bypass": ("rescan.hit",),
    "signing_down": ("signing.down", "signing.unavailable"),
    "outbox_parked": ("outbox.parked",),
}


def run(now: datetime, scorer: float) -> int | None:
    """One round; how many alarms changed, None where another process is at it. `scorer` as `scorer_down` says."""
    began = time.monotonic()
    with transaction.atomic():
        if not is_mine("alarms"):
            return None
        newest = measuring.count(now)
        changed = _judge(measuring.look(now, scorer), now)
        openings.follow(now)
        paging.tell(now)
        minute, took_ms = now.replace(second=0, microsecond=0), round((time.monotonic() - began) * 1000)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO console_alarmround (minute, at, job_event_id, took_ms) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (minute) DO UPDATE SET at = excluded.at, took_ms = excluded.took_ms",
                [minute, now, newest, took_ms],
            )
    return changed


def _judge(moment: Moment, now: datetime) -> int:
    """Every alarm in every scope that is known or was; the states in one statement."""
    settings = terms.in_force(now)
    stood = {(row.alarm_id, row.scope): row for row in AlarmState.objects.all()}
    rows, changed = [], 0
    for alarm, scope in _places(moment, stood, settings):
        state = stood.get((alarm.name, scope))
        seen = alarm.condition.look(settings[alarm.name], moment, scope)
        standing, change = next_standing(
            _standing(state), alarm.condition, settings[alarm.name], seen, now.timestamp()
        )
        if change is not None:
            _write(alarm, scope, standing, change, seen, settings[alarm.name], now)
            changed += 1
        rows.append(_state(alarm, scope, standing, seen, now))
    AlarmState.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["alarm", "scope"],
        update_fields=[
            "level", "opened_at", "over_since", "well_since", "peak", "value", "bad", "total", "looked_at"
        ],
    )  # fmt: skip
    return changed


def _places(moment: Moment, stood: dict, settings: dict[str, Terms]) -> Iterator[tuple[Alarm, str]]:
    for alarm in ALARMS:
        if alarm.name not in settings:
            continue
        known = set(moment.scopes(alarm.condition.subject))
        known |= {scope for name, scope in stood if name == alarm.name}
        for scope in sorted(known or ({""} if not alarm.about else set())):
            yield alarm, scope


def _standing(row: AlarmState | None) -> Standing:
    if row is None:
        return QUIET
    return Standing(row.level, _s(row.opened_at), _s(row.over_since), _s(row.well_since), row.peak)


def _s(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def _state(alarm: Alarm, scope: str, standing: Standing, seen: Seen, now: datetime) -> AlarmState:
    return AlarmState(
        alarm_id=alarm.name,
        scope=scope,
        level=standing.level,
        opened_at=_moment(standing.opened_at),
        over_since=_moment(standing.over_since),
        well_since=_moment(standing.well_since),
        peak=standing.peak,
        value=seen.value,
        bad=seen.bad,
        total=seen.total,
        looked_at=now,
    )


def _write(
    alarm: Alarm,
    scope: str,
    standing: Standing,
    change: Transition,
    seen: Seen,
    settings: Terms,
    now: datetime,
) -> None:
    open_one = AlarmFiring.objects.filter(alarm=alarm.name, scope=scope, cleared_at=None)
    match change.change:
        case Change.OPENED:
            AlarmFiring.objects.create(
                alarm_id=alarm.name,
                scope=scope,
                level=change.level,
                opened_at=now,
                value=change.value,
                peak=change.value,
                threshold=settings.threshold,
                evidence=_evidence(alarm, seen, now),
            )
        case Change.ESCALATED:
            open_one.update(level=change.level, escalated_at=now, peak=standing.peak)
        case Change.CLEARED:
            worst = (
                AlarmState.objects.filter(alarm=alarm.name, scope=scope)
                .values_list("peak", flat=True)
                .first()
            )
            open_one.update(cleared_at=now, peak=worst)


def _evidence(alarm: Alarm, seen: Seen, now: datetime) -> dict:
    """The figures as they were, and the newest operational events behind them; subjects, never contents."""
    figures: dict = {"bad": seen.bad, "total": seen.total}
    if alarm.name in EVIDENCE:
        events = OperationalEvent.objects.filter(kind__in=EVIDENCE[alarm.name], at__gte=now - EVIDENCE_OVER)
        figures["events"] = [
            {"at": at.isoformat(), "kind": kind, "subject": subject}
            for at, kind, subject in events.order_by("-at").values_list("at", "kind", "subject")[
                :EVIDENCE_SHOWN
            ]
        ]
    return figures


COARSER = """
WITH gone AS (
  DELETE FROM console_alarmcount
   WHERE at < %(before)s AND extract(epoch FROM at)::bigint %% %(coarse)s <> 0 RETURNING at, measure, scope, bad, total
)
INSERT INTO console_alarmcount (at, measure, scope, bad, total)
SELECT to_timestamp(floor(extract(epoch FROM at) / %(coarse)s) * %(coarse)s), measure, scope, sum(bad), sum(total)
  FROM gone GROUP BY 1, measure, scope
ON CONFLICT (at, measure, scope) DO UPDATE
   SET bad = console_alarmcount.bad + excluded.bad, total = console_alarmcount.total + excluded.total
"""


def forget(now: datetime) -> None:
    """What is older than a day is kept in steps of ten minutes, and no longer than any window needs."""
    with transaction.atomic():
        if not is_mine("alarms.forget"):
            return
        AlarmCount.objects.filter(at__lt=now - KEPT).delete()
        AlarmLevel.objects.filter(at__lt=now - LEVELS_KEPT).delete()
        AlarmRound.objects.filter(minute__lt=now - LEVELS_KEPT).delete()
        AlarmState.objects.filter(looked_at__lt=now - LEVELS_KEPT, level=0).delete()
        with connection.cursor() as cursor:
            cursor.execute(COARSER, {"before": now - LEVELS_KEPT, "coarse": COARSE_S})


def last_round() -> AlarmRound | None:
    """The newest round, to see that alarms are looked at at all."""
    return AlarmRound.objects.order_by(F("minute").desc()).first()

"""Alarms as operators see them: each with how it stands, what it is silenced for, and when it fired."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from console.alarms import rounds, terms
from console.alarms.policy.catalog import ALARMS, BY_NAME, Alarm
from console.alarms.policy.conditions import Terms
from console.models import AlarmFiring, AlarmRound, AlarmSilence, AlarmState

STALE_AFTER = timedelta(seconds=30)
FIRINGS_SHOWN = 50


@dataclass(frozen=True)
class Row:
    """An alarm in one scope. `standing` is firing, grave (its second level), pending, off, silent or well."""

    alarm: Alarm
    terms: Terms
    scope: str
    standing: str
    since: datetime | None
    value: str
    counted: str
    firing: AlarmFiring | None
    silence: AlarmSilence | None

    @property
    def threshold(self) -> str:
        return self.alarm.words(self.terms.threshold)


@dataclass(frozen=True)
class Board:
    """`stale`: nobody looks at alarms, since when; None where somebody does."""

    rows: list[Row]
    last: AlarmRound | None
    stale: bool

    @property
    def firing(self) -> int:
        return sum(row.firing is not None for row in self.rows)


def board(now: datetime, name: str = "") -> Board:
    """Every alarm, or one: what fires first, safety before money before service; six queries."""
    settings = terms.in_force(now)
    states: dict[str, list[AlarmState]] = {}
    for state in AlarmState.objects.order_by("scope"):
        states.setdefault(state.alarm_id, []).append(state)
    firings = {(one.alarm_id, one.scope): one for one in AlarmFiring.objects.filter(cleared_at=None)}
    silences = {(one.alarm_id, one.scope): one for one in standing_silences(now)}
    rows = [
        _row(alarm, settings[alarm.name], state, firings, silences)
        for alarm in ALARMS
        if alarm.name in settings and name in ("", alarm.name)
        for state in states.get(alarm.name) or [AlarmState(alarm_id=alarm.name)]
    ]
    order = {"grave": 0, "firing": 0, "pending": 1}
    rows.sort(key=lambda row: (order.get(row.standing, 2) if not row.firing else 0, -row.alarm.grave))
    last = rounds.last_round()
    return Board(rows, last, last is None or now - last.at > STALE_AFTER)


def _row(alarm: Alarm, settings: Terms, state: AlarmState, firings: dict, silences: dict) -> Row:
    firing = firings.get((alarm.name, state.scope))
    silence = silences.get((alarm.name, state.scope)) or silences.get((alarm.name, ""))
    if not settings.enabled:
        standing = "off"
    elif firing is not None:
        standing = "grave" if firing.level > 1 else "firing"
    else:
        standing = "pending" if state.over_since else "silent" if silence else "well"
    counted = f"{state.bad:,} of {state.total:,}" if state.total else ""
    since = state.opened_at or state.over_since
    return Row(
        alarm, settings, state.scope, standing, since, alarm.words(state.value), counted, firing, silence
    )


def standing_silences(now: datetime) -> list[AlarmSilence]:
    return list(AlarmSilence.objects.filter(removed_at=None, ends_at__gt=now).order_by("ends_at"))


@dataclass(frozen=True)
class Fired:
    """One line of the history."""

    row: AlarmFiring
    alarm: Alarm
    peak: str
    threshold: str


def history(name: str = "") -> list[Fired]:
    """The newest firings, of all alarms or of one; one query."""
    found = AlarmFiring.objects.order_by("-opened_at")
    if name:
        found = found.filter(alarm=name)
    return [_fired(row, BY_NAME[row.alarm_id]) for row in found[:FIRINGS_SHOWN] if row.alarm_id in BY_NAME]


def _fired(row: AlarmFiring, alarm: Alarm) -> Fired:
    return Fired(row, alarm, alarm.words(row.peak), alarm.words(row.threshold))

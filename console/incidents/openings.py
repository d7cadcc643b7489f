"""Alarms and their incidents: what fires opens one or joins the open one of the same alarm, and ends it where it may.

`follow` runs in the transaction of a round of alarms, so that people are told of a firing with the page of its
incident. That an alarm has one open incident is held by a unique index.
"""

from datetime import datetime, timedelta

from django.db.models import F, Q

from accounts.models import User
from console.alarms.policy.catalog import BY_NAME, Alarm
from console.alarms.policy.conditions import Happened
from console.incidents import moves
from console.incidents.policy import course
from console.models import AlarmFiring, AlarmState, Incident, IncidentFiring
from safety.models import SafetyIncident

ALARMS = "alarms"  # who opens, in the words of the timeline
State = Incident.State
FOUND_BEFORE = timedelta(hours=1)


def follow(now: datetime) -> int:
    """Bring incidents up to what fires and what cleared; how many firings had something new. Two queries when quiet."""
    new = list(AlarmFiring.objects.filter(cleared_at=None, incident_link=None).order_by("pk"))
    for firing in new:
        _join(firing, now)
    changed = IncidentFiring.objects.filter(cleared_at=None).filter(
        Q(firing__level__gt=F("level"))
        | Q(firing__cleared_at__isnull=False)
        | Q(firing__acknowledged_at__isnull=False, incident__state=State.OPEN)
    )
    links = list(changed.select_related("firing").order_by("pk"))
    for link in links:
        _keep_up(link, now)
    return len(new) + len(links)


def _join(firing: AlarmFiring, now: datetime) -> None:
    alarm = BY_NAME[firing.alarm_id]
    incident = _open_one(alarm, firing)
    IncidentFiring.objects.create(incident=incident, firing=firing, level=firing.level)
    moves.line(incident, ALARMS, "fired", _words(alarm, firing), now, detail=_named(firing))
    _raise_severity(incident, alarm, firing, now)
    if incident.state == State.MITIGATED:
        moves.come_back(incident, "The alarm fired again.", ALARMS, now)


def _open_one(alarm: Alarm, firing: AlarmFiring) -> Incident:
    """The open incident of an alarm, under its lock, made where there is none."""
    where = f" in {firing.scope}" if firing.scope else ""
    made = Incident(
        alarm_id=alarm.name,
        title=f"{alarm.title}{where}"[:200],
        grave=alarm.grave,
        severity=course.severity_of(_paged_as(alarm, firing)),
        began_at=_began(firing),
        opened_at=firing.opened_at,
        opened_by=ALARMS,
        changed_at=firing.opened_at,
        changed_by=ALARMS,
        change_reason=f"Opened by the alarm {alarm.title}.",
        safety_incident=_safety_incident(alarm, firing),
    )
    Incident.objects.bulk_create([made], ignore_conflicts=True)
    standing = Incident.objects.select_for_update(no_key=True).exclude(state=State.RESOLVED)
    return standing.get(alarm=alarm.name)


def _keep_up(link: IncidentFiring, now: datetime) -> None:
    incident, firing = moves.locked(link.incident_id), link.firing
    alarm = BY_NAME[firing.alarm_id]
    if firing.acknowledged_at is not None and incident.state == State.OPEN:
        moves.move(incident, State.ACKNOWLEDGED, *_who_has_it(firing), now)
    if firing.level > link.level:
        moves.line(incident, ALARMS, "escalated", _words(alarm, firing), now, detail=_named(firing))
        _raise_severity(incident, alarm, firing, now)
    IncidentFiring.objects.filter(pk=link.pk).update(level=firing.level, cleared_at=firing.cleared_at)
    if firing.cleared_at is not None:
        worst = f"{alarm.title} cleared; at worst it was {alarm.words(firing.peak)}."
        moves.line(incident, ALARMS, "cleared", worst, firing.cleared_at, detail=_named(firing))
        _end_with_its_alarm(incident, alarm, firing.cleared_at)


def _end_with_its_alarm(incident: Incident, alarm: Alarm, at: datetime) -> None:
    ends = course.ends_with_its_alarm(incident.grave, isinstance(alarm.condition, Happened))
    harmful = incident.state in (State.OPEN, State.ACKNOWLEDGED)
    if ends and harmful and not incident.firings.filter(cleared_at=None).exists():
        moves.move(incident, State.MITIGATED, ALARMS, "All its alarms have cleared.", at)


def _raise_severity(incident: Incident, alarm: Alarm, firing: AlarmFiring, now: datetime) -> None:
    severity = course.severity_of(_paged_as(alarm, firing))
    if severity < incident.severity:
        incident.severity = severity
        incident.save(update_fields=["severity"])
        moves.line(incident, ALARMS, "severity", f"{course.SEVERITIES[severity]}.", now)


def _who_has_it(firing: AlarmFiring) -> tuple[User | str, str]:
    person = User.objects.filter(email=firing.acknowledged_by).first()
    return person or firing.acknowledged_by, "Acknowledged on the alarm."


def _began(firing: AlarmFiring) -> datetime:
    """Since when the condition held; what was counted in a window before that is not known to be of it."""
    state = AlarmState.objects.filter(
        alarm=firing.alarm_id, scope=firing.scope, over_since__isnull=False
    ).first()
    return min(state.over_since, firing.opened_at) if state else firing.opened_at


def _safety_incident(alarm: Alarm, firing: AlarmFiring) -> SafetyIncident | None:
    """The newest record of trust & safety that a bypass left, if there is one."""
    if alarm.name != "bypass":
        return None
    found = SafetyIncident.objects.filter(
        kind=SafetyIncident.Kind.RESCAN, opened_at__gte=firing.opened_at - FOUND_BEFORE
    )
    return found.order_by("-opened_at").first()


def _paged_as(alarm: Alarm, firing: AlarmFiring) -> str:
    return alarm.pages[min(firing.level, 2) - 1]


def _words(alarm: Alarm, firing: AlarmFiring) -> str:
    where = f" in {firing.scope}" if firing.scope else ""
    second = " for the second level" if firing.level > 1 else ""
    value, threshold = alarm.words(firing.peak), alarm.words(firing.threshold)
    return f"{alarm.title}{where} fires{second} at {value}; its threshold is {threshold}."


def _named(firing: AlarmFiring) -> dict:
    return {"firing": firing.pk, "scope": firing.scope, "level": firing.level}


def of_firing(firing_id: int) -> int | None:
    """The incident that a firing belongs to; one query."""
    return IncidentFiring.objects.filter(firing=firing_id).values_list("incident_id", flat=True).first()

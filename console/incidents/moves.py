"""How an incident goes on: each change of its state under its lock, and the lines beside them."""

from datetime import datetime

from accounts.audit import name_of
from accounts.errors import ApiError
from accounts.models import User
from console.incidents import reckoning, terms
from console.incidents.policy import course
from console.models import Incident, IncidentLine

State = Incident.State


def locked(incident_id: int) -> Incident:
    """The incident under its lock. Raises `ApiError` not_found."""
    found = Incident.objects.select_for_update(no_key=True).filter(pk=incident_id).first()
    if found is None:
        raise ApiError("not_found", "There is no such incident.", param="incident")
    return found


def line(
    incident: Incident,
    by: User | str,
    what: str,
    text: str,
    at: datetime,
    *,
    detail: dict | None = None,
) -> IncidentLine:
    """Add a line to the timeline."""
    return IncidentLine.objects.create(
        incident=incident,
        at=at,
        author=name_of(by),
        person=by if isinstance(by, User) else None,
        what=what,
        text=text.strip(),
        detail=detail or {},
    )


def move(incident: Incident, state: str, by: User | str, reason: str, at: datetime) -> None:
    """Bring an incident that the caller has locked to another state; a trigger writes the line.

    Raises `ApiError` already_decided where that state can't follow.
    """
    if not course.may_follow(incident.state, state):
        stands = course.STATES[incident.state].lower()
        raise ApiError("already_decided", f"Incident {incident.pk} is {stands} by now. Nothing was changed.")
    incident.acknowledged_at, incident.mitigated_at, incident.resolved_at = _times(incident, state, at)
    if state == State.RESOLVED:
        reckoning.reckon(incident, at)
        incident.on_call_micro_dollars = reckoning.on_call(incident, terms.on_call_hour(at), at)
    if state == State.ACKNOWLEDGED and incident.assignee_id is None and isinstance(by, User):
        incident.assignee = by
    incident.state, incident.changed_at, incident.change_reason = state, at, reason.strip()
    incident.changed_by, incident.changed_by_person = name_of(by), by if isinstance(by, User) else None
    incident.save()


def come_back(incident: Incident, reason: str, by: User | str, at: datetime) -> None:
    """What was mitigated does harm again: back to how it stood before."""
    move(incident, State.ACKNOWLEDGED if incident.acknowledged_at else State.OPEN, by, reason, at)


def _times(
    incident: Incident, state: str, at: datetime
) -> tuple[datetime | None, datetime | None, datetime | None]:
    acknowledged, mitigated = incident.acknowledged_at, incident.mitigated_at
    match state:
        case State.OPEN:
            return None, None, None
        case State.ACKNOWLEDGED:
            return acknowledged or at, None, None
        case State.MITIGATED:
            return acknowledged, at, None
    return acknowledged, mitigated or at, at

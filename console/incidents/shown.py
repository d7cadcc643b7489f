"""What the pages of incidents show, as templates want it; the streams render parts of the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.http import Http404

from accounts.models import User
from console.alarms.policy.catalog import BY_NAME
from console.incidents import board, people, terms, timeline
from console.incidents.board import Row
from console.incidents.changes import BEGAN
from console.incidents.policy import course, order
from console.models import Incident, IncidentFiring
from console.runbooks.books import catalog as runbooks

State = Incident.State
NEXT = {
    State.OPEN: (State.ACKNOWLEDGED, State.MITIGATED, State.RESOLVED),
    State.ACKNOWLEDGED: (State.MITIGATED, State.RESOLVED),
    State.MITIGATED: (State.RESOLVED,),
    State.RESOLVED: (),
}


def minute(now: datetime) -> datetime:
    """The moment that costs are shown for. A page counts on from there by itself, so that what a stream sends changes
    with what happened, not with every look, and nobody loses the row that the focus is on."""
    return now.replace(second=0, microsecond=0)


def of_board(now: datetime) -> dict:
    """All open incidents, those that are over, and how long each kind took; ten queries."""
    found = board.open_now(minute(now))
    return {
        "board": found,
        "harmful": sum(row.incident.state != State.MITIGATED for row in found.rows),
        "resolved": board.resolved(now),
        "repairs": board.repairs(now),
        "hour": terms.on_call_hour(now),
        "stakes": order.STAKES.items(),
        "severities": course.SEVERITIES.items(),
        "began": BEGAN.items(),
    }


def row_of(incident_id: int, now: datetime) -> Row:
    """One incident with its cost. Raises Http404; four queries."""
    found = Incident.objects.select_related("assignee", "safety_incident").filter(pk=incident_id).first()
    if found is None:
        raise Http404
    return board.costed([found], minute(now))[0]


@dataclass(frozen=True)
class Fires:
    """An alarm of an incident that still fires, so that it can't be resolved yet."""

    title: str
    scope: str


def fires(links: Iterable[IncidentFiring]) -> list[Fires]:
    """What still fires, by its name for people."""
    found = [link.firing for link in links]
    return [
        Fires(BY_NAME[one.alarm_id].title if one.alarm_id in BY_NAME else one.alarm_id, one.scope)
        for one in found
    ]


def firing(incident: Incident) -> list[Fires]:
    """What of an incident fires now; one query."""
    return fires(incident.firings.filter(cleared_at=None).select_related("firing").order_by("pk"))


def of_incident(row: Row, person: User, now: datetime) -> dict:
    """Everything on an incident's page; some fifteen queries beside its runbook."""
    one = row.incident
    firings = list(one.firings.select_related("firing").order_by("pk"))
    standing = fires([link for link in firings if link.cleared_at is None])
    return {
        "row": row,
        "incident": one,
        "alarm": BY_NAME.get(one.alarm_id or ""),
        "book": runbooks.BY_SLUG.get(one.alarm_id or ""),
        "books": runbooks.BOOKS,
        "scope": next((each.scope for each in (*standing, *(link.firing for link in firings))), ""),
        "fires": standing,
        "moments": timeline.of(one, now),
        "moves": [(state, course.STATES[state]) for state in NEXT[State(one.state)]],
        "candidates": people.candidates(),
        "severities": course.SEVERITIES.items(),
        "follow_ups": list(one.follow_ups.select_related("owner").order_by("done_at", "pk")),
        "repairs": board.repairs(now, one.alarm_id or "") if one.alarm_id else [],
        "others": board.open_now(minute(now)),
        "trust_safety": "trust_safety" in person.staff_roles,
        "operator": "operator" in person.staff_roles,
    }

"""What people change of incidents, each an action with a line of the audit log: open, take, give, weigh, end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from console.alarms.changes import Acknowledge
from console.incidents import moves
from console.incidents.people import ROLES
from console.incidents.policy import course, order
from console.models import AlarmFiring, Incident
from safety.models import SafetyIncident

State = Incident.State
BEGAN = {0: "Now", 15: "15 minutes ago", 60: "1 hour ago", 240: "4 hours ago"}
EFFECTS = {
    State.ACKNOWLEDGED: "Everybody who was told sees that you have it; it is yours unless it is somebody's already.",
    State.MITIGATED: "The harm has stopped. Its cost goes on counting until it is resolved.",
    State.RESOLVED: "It is over: its cost and whom it met stand still, and its times count into the percentiles.",
}


@dataclass(frozen=True)
class IncidentChange(Action):
    """A change of one incident. `role` is the one that the person acts with: operators and trust & safety alike."""

    incident_id: int
    role: str = StaffRole.Role.OPERATOR

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ApiError("insufficient_scope", "Incidents are followed by operators and trust & safety.")

    @property
    def target(self) -> str:
        return f"operated_incident:{self.incident_id}"

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError(
            "invalid_value", "Change the incident anew instead: its timeline keeps both.", param="entry"
        )

    def _found(self) -> Incident:
        found = Incident.objects.filter(pk=self.incident_id).first()
        if found is None:
            raise ApiError("not_found", "There is no such incident.", param="incident")
        return found

    def _locked(self) -> Incident:
        found = moves.locked(self.incident_id)
        if found.state == State.RESOLVED:
            raise ApiError("already_decided", "This incident is resolved. Nothing was changed.")
        return found


@dataclass(frozen=True)
class MoveIncident(IncidentChange):
    """Acknowledge, mitigate or resolve it."""

    name: ClassVar[str] = "operated_incident.state"
    title: ClassVar[str] = "Change incident state"

    state: str = State.ACKNOWLEDGED

    def preview(self) -> Preview:
        if self.state not in EFFECTS:
            raise ApiError("invalid_value", "Choose acknowledged, mitigated or resolved.", param="state")
        return Preview({"state": self._found().state}, {"state": self.state}, EFFECTS[State(self.state)])

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if self.state not in EFFECTS:
            raise ApiError("invalid_value", "Choose acknowledged, mitigated or resolved.", param="state")
        incident, now = moves.locked(self.incident_id), timezone.now()
        before = incident.state
        if self.state == State.RESOLVED and incident.firings.filter(cleared_at=None).exists():
            message = (
                "An alarm of it still fires, so it was not resolved. Say that it is mitigated; it can be resolved "
                "once that alarm has cleared."
            )
            raise ApiError("invalid_value", message, param="state")
        moves.move(incident, self.state, actor, reason, max(now, incident.opened_at))
        if self.state == State.ACKNOWLEDGED:
            _acknowledge_firings(incident, actor, reason)
        return {"before": {"state": before}, "after": {"state": self.state}, "undo": None}


def _acknowledge_firings(incident: Incident, actor: User, reason: str) -> None:
    """Where people were paged for its alarms, they are told there as well."""
    waiting = AlarmFiring.objects.filter(
        incident_link__incident=incident, cleared_at=None, acknowledged_at=None
    )
    for firing in list(waiting.order_by("pk").values_list("pk", flat=True)):
        Acknowledge(firing).apply(actor, reason, None)


@dataclass(frozen=True)
class ReopenIncident(IncidentChange):
    """What was mitigated does harm again."""

    name: ClassVar[str] = "operated_incident.reopen"
    title: ClassVar[str] = "Say that an incident came back"

    def preview(self) -> Preview:
        return Preview({"state": self._found().state}, {"state": State.OPEN}, "It does harm again.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        incident = self._locked()
        before = incident.state
        moves.come_back(incident, reason, actor, timezone.now())
        return {"before": {"state": before}, "after": {"state": incident.state}, "undo": None}


@dataclass(frozen=True)
class AssignIncident(IncidentChange):
    """Give it to somebody."""

    name: ClassVar[str] = "operated_incident.assign"
    title: ClassVar[str] = "Assign incident"

    person_id: int = 0

    def preview(self) -> Preview:
        before, person = self._found().assignee, self._person()
        return Preview(_email(before), _email(person), f"It is {person.email}'s from now on.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        incident, person = self._locked(), self._person()
        before, incident.assignee = incident.assignee, person
        incident.save(update_fields=["assignee"])
        moves.line(incident, actor, "assigned", f"Given to {person.email}: {reason}", timezone.now())
        return {"before": _email(before), "after": _email(person), "undo": None}

    def _person(self) -> User:
        people = User.objects.filter(pk=self.person_id, is_active=True, staff_role_rows__role__in=ROLES)
        person = people.distinct().first()
        if person is None:
            raise ApiError(
                "invalid_value", "Choose an operator or somebody of trust & safety.", param="person"
            )
        return person


def _email(person: User | None) -> dict:
    return {"assignee": person.email if person else None}


@dataclass(frozen=True)
class ChangeIncidentSeverity(IncidentChange):
    """Weigh it anew."""

    name: ClassVar[str] = "operated_incident.severity"
    title: ClassVar[str] = "Change incident severity"

    severity: int = 2

    def preview(self) -> Preview:
        self._check()
        said = f"{course.SEVERITIES[self.severity]}. What is at stake orders incidents before their severity does."
        return Preview({"severity": self._found().severity}, {"severity": self.severity}, said)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        incident = self._locked()
        before, incident.severity = incident.severity, self.severity
        incident.save(update_fields=["severity"])
        text = f"Severity {before} → {self.severity}: {reason}"
        moves.line(incident, actor, "severity", text, timezone.now())
        return {"before": {"severity": before}, "after": {"severity": self.severity}, "undo": None}

    def _check(self) -> None:
        if self.severity not in course.SEVERITIES:
            raise ApiError("invalid_value", "Choose a severity from 1 to 4.", param="severity")


@dataclass(frozen=True)
class LinkSafetyIncident(IncidentChange):
    """Say which record of trust & safety it belongs to."""

    name: ClassVar[str] = "operated_incident.link"
    title: ClassVar[str] = "Link safety incident"

    safety_incident: int = 0

    def preview(self) -> Preview:
        self._there()
        return Preview({}, {"safety_incident": self.safety_incident}, "Both pages lead to one another.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._there()
        incident = self._locked()
        before, incident.safety_incident_id = incident.safety_incident_id, self.safety_incident
        incident.save(update_fields=["safety_incident"])
        text = f"Belongs to safety incident {self.safety_incident}: {reason}"
        moves.line(incident, actor, "linked", text, timezone.now())
        after = {"safety_incident": self.safety_incident}
        return {"before": {"safety_incident": before}, "after": after, "undo": None}

    def _there(self) -> None:
        if not SafetyIncident.objects.filter(pk=self.safety_incident).exists():
            message = f"There is no safety incident {self.safety_incident}."
            raise ApiError("invalid_value", message, param="safety_incident")


@dataclass
class OpenIncident(Action):
    """Somebody sees harm that no alarm told of. `began` is one of `BEGAN`, in minutes."""

    name: ClassVar[str] = "operated_incident.open"
    title: ClassVar[str] = "Open incident"

    heading: str
    grave: int
    severity: int
    began: int = 0
    role: str = StaffRole.Role.OPERATOR
    incident_id: int | None = None

    @property
    def target(self) -> str:
        return f"operated_incident:{self.incident_id or 'new'}"

    def preview(self) -> Preview:
        self._check()
        said = f"{order.STAKES[self.grave]} is at stake; its cost counts from {BEGAN[self.began].lower()}."
        return Preview({}, {"title": self.heading, "severity": self.severity}, said)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        now = timezone.now()
        made = Incident.objects.create(
            title=self.heading.strip()[:200],
            grave=self.grave,
            severity=self.severity,
            began_at=now - timedelta(minutes=self.began),
            opened_at=now,
            opened_by=actor.email,
            changed_at=now,
            changed_by=actor.email,
            changed_by_person=actor,
            change_reason=reason.strip(),
        )
        self.incident_id = made.pk
        after = {"title": made.title, "grave": made.grave, "severity": made.severity}
        return {"before": {}, "after": after, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Resolve the incident instead: it stays on record.", param="entry")

    def _check(self) -> None:
        if self.role not in ROLES:
            raise ApiError("insufficient_scope", "Incidents are followed by operators and trust & safety.")
        if not self.heading.strip():
            raise ApiError("missing_required_parameter", "Say in a few words what happens.", param="title")
        if self.grave not in order.STAKES:
            raise ApiError("invalid_value", "Choose what is at stake.", param="grave")
        if self.severity not in course.SEVERITIES:
            raise ApiError("invalid_value", "Choose a severity from 1 to 4.", param="severity")
        if self.began not in BEGAN:
            raise ApiError("invalid_value", "Choose one of the listed times.", param="began")

"""An incident's timeline: its own lines, and every change that people or the system made while it was open.

A change with an expiry comes back by itself; its return is a line of its own, at its time, unless somebody undid it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from accounts.models import AuditEntry, StaffRole
from console.models import Incident, IncidentLine, RunbookUse
from safety.models import SafetyIncident

LINES_SHOWN, CHANGES_SHOWN, SAFETY_SHOWN = 300, 200, 20
ICONS = {
    "opened": ("danger", "warning"),
    "reopened": ("danger", "warning"),
    "fired": ("danger", "bolt"),
    "escalated": ("danger", "bolt"),
    "cleared": ("ok", "bolt"),
    "acknowledged": ("notice", "eye"),
    "mitigated": ("ok", "check"),
    "resolved": ("ok", "check"),
    "action": ("notice", "play"),
    "change": ("notice", "sliders"),
    "returned": ("", "undo"),
    "safety": ("warning", "shield"),
    "note": ("", "edit"),
}
LABELS = {
    "fired": "Alarm fired",
    "escalated": "Alarm escalated",
    "cleared": "Alarm cleared",
    "reopened": "Does harm again",
    "follow_up": "Follow-up",
    "follow_up_done": "Follow-up done",
    "action": "Action run from here",
    "change": "Changed",
    "returned": "Back by itself",
    "safety": "Safety incident",
    "linked": "Linked",
    "severity": "Severity",
    "assigned": "Given to somebody",
}
# What an incident writes into the audit log itself is a line already.
OWN = (
    "operated_incident.state",
    "operated_incident.reopen",
    "operated_incident.open",
    "operated_incident.assign",
)
OWN = (*OWN, "operated_incident.severity", "operated_incident.link", "alarm.acknowledge")


@dataclass(frozen=True)
class Moment:
    """One line as it is shown. `changes` are (name, before, after) of an audit row."""

    at: datetime
    what: str
    author: str
    text: str
    target: str = ""
    action: str = ""
    changes: tuple[tuple[str, object, object], ...] = ()
    expires: str = ""
    entry: int | None = None
    safety_incident: int | None = None
    order: int = field(default=0, compare=False)

    @property
    def label(self) -> str:
        return LABELS.get(self.what, self.what.capitalize())

    @property
    def colour(self) -> str:
        return ICONS.get(self.what, ("", ""))[0]

    @property
    def icon(self) -> str:
        return ICONS.get(self.what, ("", "dash"))[1]


def of(incident: Incident, now: datetime) -> list[Moment]:
    """Everything until `now` or its end, in order; four queries."""
    until = incident.resolved_at or now
    entries = changes_between(incident.began_at, until)
    run = set(RunbookUse.objects.filter(incident=incident.pk).values_list("entry_id", flat=True))
    found = [_line(line) for line in incident.lines.order_by("-at", "-id")[:LINES_SHOWN]]
    found += [_change(entry, entry.pk in run) for entry in entries]
    found += _returns(entries, until)
    found += _safety(incident, until)
    return sorted(found, key=lambda one: (one.at, one.order))


def changes_between(since: datetime, until: datetime) -> list[AuditEntry]:
    """Changes of staff and of the system's own parts, not of customers; the newest, one query."""
    staff = Q(actor__in=StaffRole.objects.values("user"))
    system = Q(actor=None, organization=None)
    rows = AuditEntry.objects.filter(staff | system, at__gte=since, at__lte=until).exclude(action__in=OWN)
    return list(rows.order_by("-at", "-id")[:CHANGES_SHOWN])


def _line(line: IncidentLine) -> Moment:
    return Moment(line.at, line.what, line.author, line.text, order=line.pk)


def _change(entry: AuditEntry, run_from_here: bool) -> Moment:
    what = "action" if run_from_here else "change"
    return Moment(entry.at, what, entry.actor_name, entry.reason, order=entry.pk, **_facts(entry))


def _facts(entry: AuditEntry) -> dict:
    before = entry.before if isinstance(entry.before, dict) else {}
    after = entry.after if isinstance(entry.after, dict) else {}
    names = [
        name
        for name in {**before, **after}
        if name != "expires_at" and _plain(before.get(name), after.get(name))
    ]
    return {
        "target": entry.target,
        "action": entry.action,
        "changes": tuple((name, before.get(name), after.get(name)) for name in names[:4]),
        "expires": str(after.get("expires_at", "")),
        "entry": entry.pk,
    }


def _plain(*values: object) -> bool:
    """Figures and short words; what is longer is on the audit page."""
    return all(value is None or isinstance(value, int | float) or len(str(value)) < 60 for value in values)


def _returns(entries: Sequence[AuditEntry], until: datetime) -> Iterable[Moment]:
    for entry in entries:
        text = (entry.after or {}).get("expires_at") if isinstance(entry.after, dict) else None
        if not text:
            continue
        ends = datetime.fromisoformat(text)
        undone = any(
            other.action == f"{entry.action}.undo"
            and other.target == entry.target
            and entry.at < other.at < ends
            for other in entries
        )
        if ends <= until and not undone:
            words = f"{entry.action} of {entry.target} ended at its time."
            yield Moment(ends, "returned", "expiry", words, target=entry.target, action=entry.action)


def _safety(incident: Incident, until: datetime) -> list[Moment]:
    """Those opened meanwhile, and the one that it is about, which may be what it began with."""
    meanwhile = Q(opened_at__gte=incident.began_at, opened_at__lte=until)
    found = SafetyIncident.objects.filter(meanwhile | Q(pk=incident.safety_incident_id))
    rows = found.order_by("-opened_at")[:SAFETY_SHOWN]
    return [
        Moment(row.opened_at, "safety", row.opened_by, row.get_kind_display(), safety_incident=row.pk)
        for row in rows
    ]

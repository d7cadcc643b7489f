"""Safety incidents: opened once per cause, evidence by digest and hash, notes that only grow.

`open_incident` is called in the transaction of what it is about, so neither is there without the other.
"""

import uuid

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, operations
from accounts.actions import check_reason
from accounts.audit import name_of
from accounts.errors import ApiError
from accounts.models import User
from safety.models import IncidentNote, SafetyIncident, Scan, Verdict

Kind, State = SafetyIncident.Kind, SafetyIncident.State
MOST_VERDICTS = 50


def open_incident(
    kind: str, cause: str, title: str, *, subject: str = "", evidence: dict, by: User | str, text: str
) -> SafetyIncident:
    """Open one, or find the one that this cause opened before. Inside the caller's transaction."""
    incident, new = SafetyIncident.objects.get_or_create(
        cause=cause,
        defaults={
            "kind": kind,
            "title": title[:200],
            "subject": subject,
            "evidence": evidence,
            "opened_by": name_of(by),
        },
    )
    if new:
        note(incident, by, text, what="opened")
        operations.report(
            "safety.incident_opened", "critical", f"incident:{incident.pk}", {"kind": kind, "cause": cause}
        )
    return incident


def of_scan(scan: Scan) -> dict:
    """What a scan has to show: digest, versions, and the verdicts that kept it back, with their PDQ hashes."""
    kept_back = scan.verdicts.filter(outcome__in=(Verdict.Outcome.BLOCK, Verdict.Outcome.REVIEW))
    rows = [
        {
            "class": row.frame_class,
            "frame": row.frame_index,
            "gate": f"{row.gate} {row.gate_version}".strip(),
            "score": row.score,
            "threshold": row.threshold_version,
            "pdq": row.evidence.get("pdq", ""),
        }
        for row in kept_back.order_by("frame_index", "pk")[:MOST_VERDICTS]
    ]
    return {
        "scan": scan.pk,
        "sha256": scan.digest or "",
        "fence": scan.fence,
        "purpose": scan.purpose,
        "policy_version": scan.policy_version,
        "frames": scan.frames_total,
        "pdq": sorted({row["pdq"] for row in rows} - {""}),
        "verdicts": rows,
    }


def by_hand(title: str, text: str, subject: str, actor: User) -> SafetyIncident:
    """Somebody opens an incident. Raises `ApiError` without a title or a text."""
    if not title.strip():
        raise ApiError("missing_required_parameter", "Give the incident a title.", param="title")
    check_reason(text)
    with transaction.atomic():
        cause = f"hand:{uuid.uuid4().hex}"
        incident = open_incident(
            Kind.MANUAL, cause, title.strip(), subject=subject.strip(), evidence={}, by=actor, text=text
        )
        _audited(actor, "open", incident, text, None)
    return incident


def note(
    incident: SafetyIncident, author: User | str, text: str, *, what: str = "note", detail: dict | None = None
) -> IncidentNote:
    """Add a line to the timeline; none is ever changed. Raises `ApiError` for a blank one."""
    check_reason(text)
    return IncidentNote.objects.create(
        incident=incident, author=name_of(author), what=what, text=text.strip(), detail=detail or {}
    )


def note_on_subject(subject: str, author: User | str, text: str, *, what: str) -> int:
    """Tell every incident about a subject what was done to it; how many there are."""
    found = SafetyIncident.objects.filter(subject=subject).exclude(subject="")
    return sum(bool(note(incident, author, text, what=what)) for incident in found)


def set_state(incident_id: int, state: str, actor: User, reason: str) -> SafetyIncident:
    """Close or reopen, with a reason. Raises `ApiError` not_found, already_decided."""
    check_reason(reason)
    with transaction.atomic():
        incident = SafetyIncident.objects.select_for_update().filter(pk=incident_id).first()
        if incident is None:
            raise ApiError("not_found", "There is no such incident.")
        if incident.state == state:
            raise ApiError("already_decided", f"This incident is {state} already.")
        before = incident.state
        closed = state == State.CLOSED
        SafetyIncident.objects.filter(pk=incident_id).update(
            state=state,
            closed_at=Now() if closed else None,
            closed_by=actor.email if closed else "",
            close_reason=reason.strip() if closed else "",
        )
        incident.refresh_from_db()
        verb = "closed" if closed else "reopened"
        note(incident, actor, reason, what=verb)
        _audited(actor, verb, incident, reason, before)
    return incident


def export(incident: SafetyIncident) -> dict:
    """All of it as JSON: hashes, versions, timeline; there is no content in it to leave out."""
    fields = (
        "kind",
        "cause",
        "title",
        "subject",
        "evidence",
        "opened_by",
        "state",
        "closed_by",
        "close_reason",
    )
    return {
        "incident": incident.pk,
        **{name: getattr(incident, name) for name in fields},
        "opened_at": incident.opened_at.isoformat(),
        "closed_at": incident.closed_at.isoformat() if incident.closed_at else None,
        "timeline": [
            {
                "at": row.at.isoformat(),
                "author": row.author,
                "what": row.what,
                "text": row.text,
                "detail": row.detail,
            }
            for row in incident.notes.order_by("at", "pk")
        ],
    }


def _audited(actor: User, verb: str, incident: SafetyIncident, reason: str, before: str | None) -> None:
    audit.record(
        actor=actor,
        action=f"incident.{verb}",
        target=f"incident:{incident.pk}",
        reason=reason,
        before=None if before is None else {"state": before},
        after={"state": incident.state},
    )

"""What people add to an incident: notes, and what is to be done after it."""

from django.db import transaction
from django.utils import timezone

from accounts import staff
from accounts.actions import check_reason
from accounts.errors import ApiError
from accounts.models import User
from console.incidents import moves
from console.incidents.people import ROLES, role_of
from console.models import FollowUp, Incident

LONGEST_NOTE, LONGEST_FOLLOW_UP = 4_000, 400


@transaction.atomic
def note(incident_id: int, text: str, person: User) -> None:
    """Add a note; none is ever changed. Raises `ApiError` for a blank one."""
    staff.require(person, role_of(person))
    check_reason(text)
    moves.line(_there(incident_id), person, "note", text[:LONGEST_NOTE], timezone.now())


@transaction.atomic
def follow_up(incident_id: int, text: str, owner_id: int, person: User) -> FollowUp:
    """Somebody is to do something. Raises `ApiError` without words or an owner who follows incidents."""
    staff.require(person, role_of(person))
    check_reason(text)
    owners = User.objects.filter(pk=owner_id, is_active=True, staff_role_rows__role__in=ROLES)
    owner = owners.distinct().first()
    if owner is None:
        raise ApiError("invalid_value", "Choose who does it.", param="owner")
    incident = _there(incident_id)
    made = FollowUp.objects.create(
        incident=incident, text=text.strip()[:LONGEST_FOLLOW_UP], owner=owner, created_by=person.email
    )
    said = f"{made.text} ({owner.email})"
    moves.line(incident, person, "follow_up", said, timezone.now(), detail={"follow_up": made.pk})
    return made


@transaction.atomic
def done(incident_id: int, follow_up_id: int, person: User) -> FollowUp:
    """It is done. Raises `ApiError` where it is not there or was done before."""
    staff.require(person, role_of(person))
    found = FollowUp.objects.select_for_update().filter(pk=follow_up_id, incident=incident_id).first()
    if found is None:
        raise ApiError("not_found", "There is no such follow-up.")
    if found.done_at is not None:
        raise ApiError("already_decided", f"It was done before, by {found.done_by}.")
    now = timezone.now()
    found.done_at, found.done_by = now, person.email
    found.save(update_fields=["done_at", "done_by"])
    moves.line(found.incident, person, "follow_up_done", found.text, now, detail={"follow_up": found.pk})
    return found


def _there(incident_id: int) -> Incident:
    """Notes are written after the end too, so nothing is locked."""
    found = Incident.objects.filter(pk=incident_id).first()
    if found is None:
        raise ApiError("not_found", "There is no such incident.", param="incident")
    return found

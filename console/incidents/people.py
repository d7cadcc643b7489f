"""Who is on an incident, and since when: everybody with a line in its timeline."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Min

from accounts.models import StaffRole, User
from console.models import IncidentLine

ROLES = (StaffRole.Role.OPERATOR, StaffRole.Role.TRUST_SAFETY)  # who follows incidents


def came_at(incident_id: int) -> dict[int, datetime]:
    """Person → their first line; one query."""
    return of_many([incident_id]).get(incident_id, {})


def of_many(incident_ids: Iterable[int]) -> dict[int, dict[int, datetime]]:
    """Incident → person → their first line; one query for all."""
    rows = (
        IncidentLine.objects.filter(incident__in=incident_ids, person__isnull=False)
        .values_list("incident_id", "person_id")
        .annotate(first=Min("at"))
        .order_by()
    )
    found: dict[int, dict[int, datetime]] = {}
    for incident, person, first in rows:
        found.setdefault(incident, {})[person] = first
    return found


def role_of(person: User) -> str:
    """The role that somebody acts on incidents with: the first of `ROLES` that they hold."""
    return next((role for role in ROLES if role in person.staff_roles), ROLES[0])


def candidates() -> list[User]:
    """Whom an incident or a follow-up may be given to; one query."""
    return list(
        User.objects.filter(staff_role_rows__role__in=ROLES, is_active=True).distinct().order_by("email")
    )

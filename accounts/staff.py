"""Staff: who may enter which room of the console, granted and withdrawn with an audit row each."""

from django.db import transaction

from accounts import audit
from accounts.errors import ApiError
from accounts.models import StaffRole, User


def has_role(user: User, role: str) -> bool:
    """Asked of the database each time, for decisions; pages may use `user.staff_roles`."""
    return user.is_active and StaffRole.objects.filter(user=user, role=role).exists()


def require(user: User, role: str) -> None:
    """Raise `ApiError` insufficient_scope unless the person holds the role now."""
    if not has_role(user, role):
        title = StaffRole.Role(role).label.lower()
        raise ApiError("insufficient_scope", f"This takes the role {title}. Nothing was changed.")


def grant(user: User, role: str, by: User | str, reason: str) -> bool:
    """Give a role. False where the person held it already."""
    role = StaffRole.Role(role)
    with transaction.atomic():
        _, new = StaffRole.objects.get_or_create(user=user, role=role)
        if new:
            _record(user, by, "staff_role.grant", reason, None, role)
    return new


def withdraw(user: User, role: str, by: User | str, reason: str) -> bool:
    """Take a role away. False where the person did not hold it."""
    role = StaffRole.Role(role)
    with transaction.atomic():
        gone, _ = StaffRole.objects.filter(user=user, role=role).delete()
        if gone:
            _record(user, by, "staff_role.withdraw", reason, role, None)
    return bool(gone)


def _record(
    user: User, by: User | str, action: str, reason: str, before: str | None, after: str | None
) -> None:
    audit.record(
        actor=by, action=action, target=f"user:{user.email}", reason=reason, before=before, after=after
    )

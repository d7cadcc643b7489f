"""Roles of members, changed and ended by owners. The database never leaves an organization without an owner."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from accounts import audit, keys
from accounts.errors import ApiError
from accounts.models import ApiKey, Membership, Organization, User

NO_OWNER = "{} would be left without an owner. Make somebody else an owner first. Nothing was changed."


def change_role(organization: Organization, membership_id: int, role: str, by: User) -> Membership:
    """Give a member another role; it counts from their next request on.

    Raises `ApiError`: not_found for a member of another organization, invalid_value for a role that is none and
    where no owner would be left.
    """
    if role not in Membership.Role.values:
        raise ApiError("invalid_value", f"Choose a role out of {', '.join(Membership.Role.values)}.", "role")
    with _refusing_no_owner(organization), transaction.atomic():
        member = _locked(organization, membership_id)
        before = member.role
        if before == role:
            return member
        member.role = role
        member.save(update_fields=["role"])
        _record(member, by, "membership.role", "a role was changed", {"role": before}, {"role": role})
    return member


def remove(organization: Organization, membership_id: int, by: User, keep_keys: bool = False) -> int:
    """End a membership, and the keys that the person made, since they have seen them; the number of keys ended.

    `keep_keys` leaves the keys working, for programs that can't be changed now. Sessions end with the next request:
    a membership is looked up each time. Raises `ApiError` as `change_role` does.
    """
    with _refusing_no_owner(organization), transaction.atomic():
        member = _locked(organization, membership_id)
        ended = 0
        if not keep_keys:
            reason = f"{member.user.email}, who made it, was removed"
            ended = sum(keys.revoke(key, by, reason) for key in keys_made_by(organization, member.user))
        member.delete()
        after = {"keys_ended": ended, "keys_kept": keep_keys}
        _record(member, by, "membership.remove", "a member was removed", {"role": member.role}, after)
    return ended


def keys_made_by(organization: Organization, user: User) -> list[ApiKey]:
    """The keys of the organization that this person made and that still work."""
    return list(organization.api_keys.filter(created_by=user, revoked_at__isnull=True).order_by("id"))


@contextmanager
def _refusing_no_owner(organization: Organization) -> Iterator[None]:
    """The database's refusal of an organization without owners, as an error that says what to do."""
    try:
        yield
    except IntegrityError as failure:
        if "left without an owner" not in str(failure):
            raise
        raise ApiError("invalid_value", NO_OWNER.format(organization.name), "role") from failure


def _locked(organization: Organization, membership_id: int) -> Membership:
    rows = Membership.objects.select_for_update(of=("self",)).select_related("user", "organization")
    member = rows.filter(pk=membership_id, organization=organization).first()
    if member is None:
        raise ApiError("not_found", "There is no such member.")
    return member


def _record(member: Membership, by: User, action: str, reason: str, before: dict, after: dict) -> None:
    audit.record(
        actor=by,
        action=action,
        target=f"user:{member.user.email}",
        reason=reason,
        before=before,
        after=after,
        organization=member.organization,
    )

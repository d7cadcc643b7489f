"""Invitations into an organization: a link for one e-mail address, single use, expiring, shown and mailed once.

The token is in the link alone; the database holds its digest. Whoever accepts must have the invited address, so a
forwarded link lets nobody else in.
"""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from allauth.core import context
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import audit, organizations
from accounts.errors import ApiError
from accounts.models import MemberInvitation, Membership, Organization, User

LASTS = timedelta(days=7)
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
SESSION_TOKEN = "member_invitation"
ENDED = "This invitation has ended: it was used, withdrawn, or is older than 7 days. Ask for another link."


def digest_of(token: str) -> str:
    """sha256 in hex; a token carries 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def waiting(organization: Organization, now: datetime) -> QuerySet[MemberInvitation]:
    """Invitations that can still be accepted, oldest first."""
    return organization.member_invitations.filter(
        accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=now
    ).order_by("id")


def invite(organization: Organization, email: str, role: str, by: User) -> tuple[MemberInvitation, str]:
    """A new invitation and its token, which can't be had again; an earlier one to that address ends.

    Raises `ApiError` invalid_value for an address or role that is none, and for who is a member already.
    """
    email = User.objects.normalize_email(email)
    try:
        validate_email(email)
    except ValidationError as failure:
        raise ApiError(
            "invalid_value", "Enter an e-mail address, such as ana@example.com.", "email"
        ) from failure
    if role not in Membership.Role.values:
        raise ApiError("invalid_value", f"Choose a role out of {', '.join(Membership.Role.values)}.", "role")
    if Membership.objects.filter(organization=organization, user__email=email).exists():
        raise ApiError("invalid_value", f"{email} belongs to {organization.name} already.", "email")
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        # Two owners who invite the same person at once wait for each other here.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        earlier = organization.member_invitations.filter(email=email, accepted_at__isnull=True)
        earlier.filter(revoked_at__isnull=True).update(revoked_at=Now())
        invitation = MemberInvitation.objects.create(
            organization=organization,
            email=email,
            role=role,
            digest=digest_of(token),
            invited_by=by,
            expires_at=Now() + LASTS,
        )
        invitation.refresh_from_db()
        _record(invitation, by, "member_invitation.create", "somebody was invited", after={"role": role})
    return invitation, token


def revoke(organization: Organization, invitation_id: int, by: User) -> MemberInvitation:
    """End an invitation that waits. Raises `ApiError` not_found for any other, of whatever organization."""
    with transaction.atomic():
        rows = MemberInvitation.objects.filter(pk=invitation_id, organization=organization)
        if not rows.filter(accepted_at__isnull=True, revoked_at__isnull=True).update(revoked_at=Now()):
            raise ApiError("not_found", "There is no such invitation that waits.")
        invitation = rows.get()
        _record(invitation, by, "member_invitation.revoke", "the invitation was withdrawn")
    return invitation


def find(token: str) -> MemberInvitation | None:
    """The invitation of a link while it can be accepted; one query."""
    if not TOKEN.fullmatch(token):
        return None
    live = Q(accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=Now())
    rows = MemberInvitation.objects.filter(live, digest=digest_of(token))
    return rows.select_related("organization", "invited_by").first()


def accept(token: str, user: User) -> Membership:
    """Join, as the person who was invited; the link ends with it.

    Raises `ApiError`: not_found for a link that has ended, insufficient_scope for another person's.
    """
    with transaction.atomic():
        invitation = find(token)
        if invitation is None:
            raise ApiError("not_found", ENDED)
        if invitation.email != user.email:
            message = f"This invitation is for {invitation.email}; you are signed in as {user.email}."
            raise ApiError("insufficient_scope", message)
        mine = MemberInvitation.objects.filter(
            pk=invitation.pk, accepted_at__isnull=True, revoked_at__isnull=True
        )
        if not mine.update(accepted_at=Now(), accepted_by=user):  # another tab was faster
            raise ApiError("not_found", ENDED)
        organizations.add_member(
            invitation.organization, user, invitation.role, by=user, reason="the invitation was accepted"
        )
        return Membership.objects.select_related("organization").get(
            organization=invitation.organization, user=user
        )


def of_session() -> MemberInvitation | None:
    """The invitation by whose link this visitor came, if they did and it still stands."""
    request = context.request
    token = request.session.get(SESSION_TOKEN) if request is not None else None
    return find(token) if token else None


def accept_of_session(request: HttpRequest, user: User) -> Membership:
    """As `accept`, with the link that this visitor came by."""
    membership = accept(request.session.get(SESSION_TOKEN, ""), user)
    request.session.pop(SESSION_TOKEN, None)
    return membership


def _record(
    invitation: MemberInvitation, by: User, action: str, reason: str, after: dict | None = None
) -> None:
    audit.record(
        actor=by,
        action=action,
        target=f"email:{invitation.email}",
        reason=reason,
        before=None,
        after=after,
        organization=invitation.organization,
    )

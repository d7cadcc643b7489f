"""Who is asking: a person in a session, or an API key; both come to the same `Caller`."""

from dataclasses import dataclass

from django.http import HttpRequest

from accounts import keys
from accounts.errors import ApiError
from accounts.models import ApiKey, Membership, Organization, User

SESSION_CHOICE = "organization_id"

# What a person may do in an organization, in the words of key scopes.
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Membership.Role.OWNER: frozenset({"read", "generate", "billing", "admin"}),
    Membership.Role.BILLING: frozenset({"read", "generate", "billing"}),
    Membership.Role.MEMBER: frozenset({"read", "generate"}),
}


@dataclass(frozen=True)
class Caller:
    """For whom something is done. `user` is None for a key, `api_key` is None for a session."""

    organization: Organization
    user: User | None
    api_key: ApiKey | None
    scopes: frozenset[str]

    @property
    def actor(self) -> User | str:
        """Who is written down for what the caller changes: the person, or the beginning of the key."""
        return self.user or f"API key {self.api_key.prefix}"

    def require(self, scope: str) -> None:
        """Raise `ApiError` insufficient_scope where the caller may not do this."""
        if scope in self.scopes:
            return
        if self.api_key is not None:
            message = (
                f"This key lacks the scope {scope}. Use a key that has it, or make one on the keys page."
            )
        else:
            message = f"Your role in {self.organization.name} does not include {scope}. Ask an owner."
        raise ApiError("insufficient_scope", message)


def session_caller(request: HttpRequest) -> Caller | None:
    """The signed-in person in the organization they chose, checked against their memberships every time.

    None where nobody is signed in, and for a person who belongs to no organization (staff need none). A
    choice that is no longer theirs falls back to their oldest membership. One query, remembered for the
    request.
    """
    user = request.user
    if not user.is_authenticated:
        return None
    if not hasattr(request, "_session_caller"):
        request._session_caller = _caller_of(user, request.session.get(SESSION_CHOICE))
    return request._session_caller


def _caller_of(user: User, chosen_id: object) -> Caller | None:
    memberships = organizations_of(user)
    if not memberships:
        return None
    chosen = [membership for membership in memberships if membership.organization_id == chosen_id]
    membership = (chosen or memberships)[0]
    return Caller(membership.organization, user, None, ROLE_SCOPES[membership.role])


def organizations_of(user: User) -> list[Membership]:
    """The person's memberships with their organizations, oldest first; for the organization switcher."""
    return list(user.memberships.select_related("organization").order_by("created_at", "id"))


def choose_organization(request: HttpRequest, slug: str) -> Caller:
    """Keep the person's choice in the session; an organization that isn't theirs is simply not found."""
    for membership in organizations_of(request.user):
        if membership.organization.slug == slug:
            request.session[SESSION_CHOICE] = membership.organization_id
            caller = Caller(membership.organization, request.user, None, ROLE_SCOPES[membership.role])
            request._session_caller = caller
            return caller
    raise ApiError("not_found", "There is no such organization among yours.", param="organization")


def key_caller(raw: str) -> Caller | None:
    """The caller behind a raw API key, or None for a wrong or revoked one."""
    key = keys.find(raw)
    if key is None:
        return None
    return Caller(key.organization, None, key, frozenset(key.scopes))

"""Demo data: one organization per tier and a sign-in per role, with passwords that differ per installation.

The passwords are made once and kept in `secrets/demo.json` under the installation's home, readable by its
owner alone, so that every start can print them; the secrets of the staff's authenticator apps lie beside them in
`secrets/demo-second-factors.json`. Their second step is a real one: `manage.py demo_code` is the app.
"""

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts import organizations, second_factor, staff
from accounts.models import Membership, Organization, StaffRole, User

AUTHOR = "demo data"
REASON = "demo data of this installation"


@dataclass(frozen=True)
class DemoOrganization:
    slug: str
    name: str
    tier: str
    credit_micro: int  # a promotional grant, enough for an evening of clips


@dataclass(frozen=True)
class DemoPerson:
    """Either `organization` and `membership`, or `staff_role`."""

    email: str
    name: str
    organization: str | None = None
    membership: str | None = None
    staff_role: str | None = None

    @property
    def role(self) -> str:
        """The role in words, for the table of sign-ins."""
        if self.staff_role:
            return StaffRole.Role(self.staff_role).label
        return f"{Membership.Role(self.membership).label} of {self.organization}"


@dataclass(frozen=True)
class SignIn:
    """What a person types to get in, and as what."""

    email: str
    password: str
    role: str
    totp_secret: str | None = None  # staff only; base32, as an authenticator app takes it


CREDIT = 1_000_000  # micro-credits

# The grant of each organization has a fixed idempotency key: another amount needs another key, or the next start
# of an installation that has the old one is refused.
GRANT_KEY = "demo-grant"

ORGANIZATIONS = (
    DemoOrganization("free-demo", "Free demo", "free", 500 * CREDIT),
    DemoOrganization("plus-demo", "Plus demo", "plus", 2_000 * CREDIT),
    DemoOrganization("pro-demo", "Pro demo", "pro", 5_000 * CREDIT),
    DemoOrganization("enterprise-demo", "Enterprise demo", "enterprise", 20_000 * CREDIT),
)

# Owners stand before the other members: the first person of an organization makes it.
PEOPLE = (
    DemoPerson("free-owner@demo.backlot.local", "Fay Free", "free-demo", "owner"),
    DemoPerson("plus-owner@demo.backlot.local", "Paula Plus", "plus-demo", "owner"),
    DemoPerson("pro-owner@demo.backlot.local", "Priya Pro", "pro-demo", "owner"),
    DemoPerson("pro-billing@demo.backlot.local", "Bill Pro", "pro-demo", "billing"),
    DemoPerson("pro-member@demo.backlot.local", "Mika Pro", "pro-demo", "member"),
    DemoPerson("enterprise-owner@demo.backlot.local", "Emil Enterprise", "enterprise-demo", "owner"),
    DemoPerson("billing-admin@demo.backlot.local", "Bea Billing", staff_role="billing_admin"),
    # The second person of an approval.
    DemoPerson("billing-admin-2@demo.backlot.local", "Boris Billing", staff_role="billing_admin"),
    DemoPerson("operator@demo.backlot.local", "Omar Operator", staff_role="operator"),
    DemoPerson("safety@demo.backlot.local", "Sana Safety", staff_role="trust_safety"),
)


def password_file(home: Path) -> Path:
    return home / "secrets" / "demo.json"


def second_factor_file(home: Path) -> Path:
    return home / "secrets" / "demo-second-factors.json"


def passwords(home: Path) -> dict[str, str]:
    """E-mail address → password, as kept; empty before the demo data was made."""
    return _kept(password_file(home))


def sign_ins(home: Path) -> list[SignIn]:
    """The demo sign-ins of this installation; empty before the demo data was made."""
    kept, factors = passwords(home), _kept(second_factor_file(home))
    return [
        SignIn(person.email, kept[person.email], person.role, factors.get(person.email))
        for person in PEOPLE
        if person.email in kept
    ]


def seed(home: Path) -> list[SignIn]:
    """Make what is missing of the demo data, and leave what is there alone. May be run at every start."""
    kept = passwords(home)
    fresh = {person.email: secrets.token_urlsafe(12) for person in PEOPLE if person.email not in kept}
    with transaction.atomic():
        for person in PEOPLE:
            _seed_person(person, (kept | fresh)[person.email], new_password=person.email in fresh)
        _seed_second_factors(second_factor_file(home))
        if fresh:
            _keep(password_file(home), kept | fresh)
    return sign_ins(home)


def _seed_second_factors(path: Path) -> None:
    """An authenticator app for each of the staff; one whose secret was lost with the file gets a new one."""
    kept = _kept(path)
    staff_emails = [person.email for person in PEOPLE if person.staff_role]
    fresh = {email: second_factor.new_secret() for email in staff_emails if email not in kept}
    for user in User.objects.filter(email__in=staff_emails):
        if user.email in fresh:
            second_factor.reset(user)
        second_factor.enrol_app(user, (kept | fresh)[user.email])
    if fresh:
        _keep(path, kept | fresh)


def _seed_person(person: DemoPerson, password: str, new_password: bool) -> None:
    user = User.objects.filter(email=person.email).first()
    if user is None:
        user = User.objects.create_user(person.email, password, name=person.name)
        EmailAddress.objects.create(user=user, email=person.email, verified=True, primary=True)
    elif new_password:  # the file was lost or is older than this sign-in
        user.set_password(password)
        user.save(update_fields=["password"])
    if person.staff_role:
        staff.grant(user, person.staff_role, by=AUTHOR, reason=REASON)
    if person.organization:
        _seed_membership(user, person)


def _seed_membership(user: User, person: DemoPerson) -> None:
    organization = Organization.objects.filter(slug=person.organization).first()
    if organization is None:
        wanted = next(demo for demo in ORGANIZATIONS if demo.slug == person.organization)
        organizations.create(wanted.name, wanted.tier, user, slug=wanted.slug)
        return
    organizations.add_member(organization, user, person.membership, by=AUTHOR, reason=REASON)


def _kept(path: Path) -> dict[str, str]:
    return json.loads(path.read_text()) if path.exists() else {}


def _keep(path: Path, wanted: dict[str, str]) -> None:
    """Write the file whole or not at all; a temporary file is made readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix="demo-")
    with os.fdopen(descriptor, "w") as file:
        json.dump(wanted, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, path)


def table(rows: list[SignIn]) -> str:
    """The sign-ins as plain text, one a line."""
    wide = max((len(row.email) for row in rows), default=0)
    lines = [f"  {row.email:<{wide}}  {row.password}  {row.role}" for row in rows]
    second = "  Staff (the last rows) are asked for a code as well: `manage.py demo_code` shows it."
    return "\n".join(["Demo sign-ins of this installation:", *lines, *([second] if lines else [])])

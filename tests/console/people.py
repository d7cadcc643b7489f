"""Who opens the pages in these tests: members with roles, staff, strangers; and jobs for them to look at."""

import time
import uuid

from allauth.account.internal.userkit import user_id_to_str
from django.test import Client

from accounts import organizations, second_factor, staff
from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import Membership, Organization, StaffRole, User
from billing import ledger
from generation import admission
from generation.models import Job

PROMPT = "a red circle moving right on a white background"


def person(role: str = "owner", tier: str = "plus", credit: int = 100_000_000) -> tuple[Client, Caller]:
    """A signed-in member of a new organization, and who that is."""
    name = f"{tier}-{uuid.uuid4().hex[:8]}"
    owner = User.objects.create_user(f"{name}@example.com")
    organization = organizations.create(name, tier, owner)
    if credit:
        ledger.grant(
            organization.pk, credit, bucket="purchased", idempotency_key=name, reason="for this test"
        )
    user = owner if role == "owner" else join(organization, role)
    return signed_in(user), Caller(organization, user, None, ROLE_SCOPES[role])


def join(organization: Organization, role: str) -> User:
    user = User.objects.create_user(f"{role}-{uuid.uuid4().hex[:8]}@example.com")
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


def operator() -> tuple[Client, User]:
    """A signed-in operator who belongs to no organization."""
    user = User.objects.create_user(f"operator-{uuid.uuid4().hex[:8]}@example.com")
    staff.grant(user, StaffRole.Role.OPERATOR, "test", "for this test")
    return with_second_factor(signed_in(user), user), user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def with_second_factor(client: Client, user: User) -> Client:
    """The same session after its second step: staff rooms are shut without."""
    second_factor.enrol_app(user, second_factor.new_secret())
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time()}]
    session["account_authentication_methods_user"] = user_id_to_str(user)
    session.save()
    return client


def clip(caller: Caller, prompt: str = PROMPT) -> Job:
    """A waiting clip."""
    return admission.submit_clip(caller, {"prompt": prompt}, source="studio")


def code(caller: Caller, prompt: str = "def mean(values):\n") -> Job:
    """A waiting completion."""
    return admission.submit_code(caller, {"prompt": prompt, "max_tokens": 32}, source="studio")

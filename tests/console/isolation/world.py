"""The victim: an organization with one of everything that has an address, and those who come for it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler
from django.utils import timezone
from django.utils.http import int_to_base36

from accounts import keys, member_invitations, staff
from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import ApiKey, Membership, Organization, StaffRole, User
from accounts.webhooks import endpoints, events
from accounts.webhooks.endpoints import Wanted
from billing import budgets, notices, statement
from billing.models import Budget, Notice
from generation.models import Job
from generation.sharing import shares
from tests.console.billing_stage import bought
from tests.console.people import code, join, signed_in, with_second_factor
from tests.generation.api_stage import Tenant, deliver, job_of, make_clip, tenant

# What must never be read by anybody else.
MARK = "Quillfeather"
CHAT = [{"role": "user", "content": "def f():"}]
PROMPT = "A violet circle moves up over a grey wall"
HANDLER = ClientHandler(enforce_csrf_checks=False)  # one for all: each would load the middleware anew


class Asking(Client):
    """Django's, without what it collects for tests that look into an answer's making: ten thousand answers of which
    nobody looks into one."""

    def request(self, **request: Any) -> HttpResponse:
        return self.handler(self._base_environ(**request))


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks: by a session's cookie or a key's header, with scopes in the victim's organization, if any."""

    name: str
    cookies: Mapping[str, str]
    headers: Mapping[str, str]
    inside: frozenset[str] = frozenset()  # what they may do in the victim's organization
    outside: bool = False  # whether they have everything in an organization of their own
    roles: frozenset[str] = frozenset()  # of the staff, second factor shown

    def client(self) -> Client:
        """A fresh browser or program: what one answer does to cookies doesn't reach the next."""
        client = Asking(headers=dict(self.headers))
        client.handler = HANDLER
        for name, value in self.cookies.items():
            client.cookies[name] = value
        return client


@dataclass(frozen=True)
class World:
    victim: Organization
    names: dict[str, Any]
    visitors: tuple[Visitor, ...]
    owner: Visitor  # the victim's own, by session and by key: to whom everything is there
    program: Visitor


def world() -> World:
    """Everybody and everything, in the test's transaction."""
    victim, stranger = tenant("pro"), tenant("pro")
    Organization.objects.filter(pk=victim.organization.pk).update(name=f"{MARK} Films")
    User.objects.filter(pk=victim.owner.pk).update(name=f"Olga {MARK}")
    names = {**_work(victim), **_money(victim), **_people(victim), **_hooks(victim.organization)}
    visitors = (*_outside(stranger), *_inside(victim), *_staff())
    ApiKey.objects.update(last_used_at=timezone.now() + timedelta(hours=6))  # so that no call notes its use
    owner = Visitor("the owner", _cookies(signed_in(victim.owner)), {})
    return World(victim.organization, names, visitors, owner, Visitor("the owner's key", {}, victim.auth))


def _work(victim: Tenant) -> dict[str, Any]:
    client = Client()
    done = deliver(job_of(make_clip(client, victim, prompt=PROMPT)))
    waiting = job_of(make_clip(client, victim, prompt=PROMPT))
    owner = Caller(victim.organization, victim.owner, None, ROLE_SCOPES[Membership.Role.OWNER])
    written = code(owner)
    link = shares.share(done, owner, days=7, shows_prompt=True, now=timezone.now())
    chat = _asked(client, victim, "/v1/chat/completions", {"messages": CHAT, "stream": True})
    response = _asked(client, victim, "/v1/responses", {"input": "def f():", "background": True})
    return {
        "done": done.pk,
        "done_video": done.public_id,
        "clip": waiting.pk,
        "video": waiting.public_id,
        "code": written.pk,
        "completion": written.public_id,
        "chat": chat,
        "response": response,
        "decision": done.decision_id,
        "charge": done.decision.charge.pk,
        "forged_media": "clips:forged",
        "share": link.share.pk,
        "forged_share": link.token[:-1] + ("A" if link.token[-1] != "A" else "B"),
    }


def _asked(client: Client, victim: Tenant, address: str, fields: dict) -> str:
    """The public id of the code job that the call made; nobody answers it here."""
    fields = {"model": "pocket-code", **fields}
    answer = client.post(address, fields, content_type="application/json", headers=victim.auth)
    assert answer.status_code == 200, answer
    return Job.objects.filter(organization=victim.organization).latest("created_at").public_id


def _money(victim: Tenant) -> dict[str, Any]:
    organization = victim.organization
    payment = bought(organization)
    budgets.set_budget(organization.pk, Budget.Scope.ORGANIZATION, 10**9, by=victim.owner)
    notices.tell(organization.pk, Notice.Kind.LOW_BALANCE, "mark", f"{MARK} is told.")
    return {
        "purchase": payment.pk,
        "budget": Budget.objects.get(organization=organization).pk,
        "notice": Notice.objects.filter(organization=organization).latest("pk").pk,
        "line": statement.lines(organization.pk)[-1].id,
    }


def _people(victim: Tenant) -> dict[str, Any]:
    organization, owner = victim.organization, victim.owner
    key, _ = keys.create(organization, f"{MARK} key", keys.SCOPES, owner)
    invitation, _ = member_invitations.invite(organization, f"{MARK}@example.com", "member", owner)
    member = Membership.objects.get(organization=organization, user=join(organization, "member"))
    passkey = Authenticator.objects.create(user=owner, type="webauthn", data={"name": MARK, "credential": {}})
    return {
        "slug": organization.slug,
        "owner_id": owner.pk,
        "owner_email": owner.email,
        "owner_base36": int_to_base36(owner.pk),
        "key": key.pk,
        "invitation": invitation.pk,
        "membership": member.pk,
        "passkey": passkey.pk,
        "worker": uuid.uuid4(),
    }


def _hooks(organization: Organization) -> dict[str, Any]:
    made, _ = endpoints.create(
        organization, Wanted("https://hooks.example.com/", MARK, ("video.failed",)), "test"
    )
    return {"webhook": made.pk, "delivery": events.test(made, timezone.now()).pk}


def _outside(stranger: Tenant) -> tuple[Visitor, ...]:
    """Nobody, and another tenant's owner and mightiest key."""
    return (
        Visitor("anonymous", {}, {}),
        Visitor("another tenant's owner", _cookies(signed_in(stranger.owner)), {}, outside=True),
        Visitor("another tenant's key", {}, stranger.auth, outside=True),
    )


def _inside(victim: Tenant) -> tuple[Visitor, ...]:
    """The victim's own people and keys who may less than everything."""
    people = tuple(
        Visitor(
            f"a {role} of the organization",
            _cookies(signed_in(join(victim.organization, role))),
            {},
            inside=frozenset(ROLE_SCOPES[role]),
        )
        for role in (Membership.Role.MEMBER, Membership.Role.BILLING)
    )
    return people + tuple(
        Visitor(f"a key that may {scope}", {}, _bearer(victim, scope), inside=frozenset({scope}))
        for scope in ("read", "generate", "billing")
    )


def _staff() -> tuple[Visitor, ...]:
    """One of each room, and all of them in one who has not shown the second factor."""
    each = tuple(
        Visitor(
            f"staff: {role}", _cookies(with_second_factor(signed_in(user), user)), {}, roles=frozenset({role})
        )
        for role, user in ((role, _person_of_staff(role)) for role in StaffRole.Role.values)
    )
    all_of_them = _person_of_staff(*StaffRole.Role.values)
    return (*each, Visitor("staff without a second factor", _cookies(signed_in(all_of_them)), {}))


def _person_of_staff(*roles: str) -> User:
    user = User.objects.create_user(f"staff-{uuid.uuid4().hex[:8]}@example.com")
    for role in roles:
        staff.grant(user, role, "test", "for this test")
    return user


def _bearer(victim: Tenant, scope: str) -> dict[str, str]:
    _, raw = keys.create(victim.organization, f"only {scope}", [scope], victim.owner)
    return {"Authorization": f"Bearer {raw}"}


def _cookies(client: Client) -> dict[str, str]:
    return {name: morsel.value for name, morsel in client.cookies.items()}

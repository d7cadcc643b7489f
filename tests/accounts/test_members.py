"""Members: invited by a link that works once for one address, given roles, removed with their keys; an owner stays."""

import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client

from accounts import keys, member_invitations, memberships, organizations
from accounts.errors import ApiError
from accounts.models import ApiKey, AuditEntry, MemberInvitation, Membership, Organization, SignUpPolicy, User
from tests.committed import committed

PASSWORD = "correct horse battery"


@pytest.fixture
def page(client, owner, organization):
    client.force_login(owner)
    return client


def invite(page, email="ana@example.com", role="billing"):
    answer = page.post("/members/invite", {"email": email, "role": role})
    return answer.context["link"]


def test_a_link_is_mailed_and_shown_once_and_its_token_is_not_stored(page, organization):
    link = invite(page, " Ana@Example.com ")
    assert link in mail.outbox[0].body
    assert mail.outbox[0].to == ["ana@example.com"]
    invitation = MemberInvitation.objects.get()
    token = link.rstrip("/").rpartition("/")[2]
    assert invitation.digest == member_invitations.digest_of(token)
    assert token not in str(MemberInvitation.objects.values().get()) + str(list(AuditEntry.objects.values()))
    assert invitation.expires_at - invitation.created_at == timedelta(days=7)
    assert "ana@example.com" in page.get("/members/").content.decode()


def test_a_new_person_joins_past_the_gate_without_an_organization_of_their_own(page, organization):
    SignUpPolicy.objects.create(invite_only=True, daily_cap=0, author="t", reason="t")
    link = invite(page)
    visitor = Client()
    assert "Make an account and join" in visitor.get(link).content.decode()
    text = visitor.get("/accounts/signup/").content.decode()
    assert "Join Acme Films" in text
    assert 'value="ana@example.com"' in text
    wrong = visitor.post("/accounts/signup/", {"email": "eve@example.com", "password1": PASSWORD})
    assert "This invitation is for ana@example.com" in wrong.content.decode()
    assert not User.objects.filter(email="eve@example.com").exists()
    assert (
        visitor.post("/accounts/signup/", {"email": "ana@example.com", "password1": PASSWORD}).status_code
        == 302
    )
    member = Membership.objects.get(user__email="ana@example.com")
    assert (member.organization, member.role) == (organization, "billing")
    assert Organization.objects.count() == 1
    assert MemberInvitation.objects.get().accepted_by == member.user
    assert "has ended" in Client().get(link).content.decode()


def test_who_has_an_account_joins_with_one_press_and_acts_for_it(page, organization, stranger):
    own = organizations.create("Own", "free", stranger)
    link = invite(page, stranger.email)
    visitor = Client()
    visitor.force_login(stranger)
    assert visitor.post(link).status_code == 302
    assert set(stranger.memberships.values_list("organization__slug", flat=True)) == {"acme-films", own.slug}
    assert visitor.session["organization_id"] == organization.pk
    assert visitor.post(link).status_code == 404


def test_a_link_lets_nobody_else_in(page, organization, stranger):
    link = invite(page)
    visitor = Client()
    visitor.force_login(stranger)
    assert "You are signed in as stranger@example.com" in visitor.get(link).content.decode()
    assert visitor.post(link).status_code == 403
    assert organization.memberships.count() == 1
    assert MemberInvitation.objects.get().accepted_at is None


@pytest.mark.parametrize("end", ["revoked", "expired", "replaced"])
def test_a_link_that_has_ended_lets_nobody_in(page, organization, end, monkeypatch):
    if end == "expired":
        monkeypatch.setattr(member_invitations, "LASTS", timedelta(microseconds=1))
    link = invite(page)
    if end == "revoked":
        page.post(f"/members/invitations/{MemberInvitation.objects.get().pk}/revoke")
    elif end == "replaced":
        invite(page, role="member")
    ana = User.objects.create_user("ana@example.com")
    visitor = Client()
    visitor.force_login(ana)
    assert visitor.get(link).status_code == 404
    assert visitor.post(link).status_code == 404
    assert not ana.memberships.exists()


@pytest.mark.parametrize(
    ("email", "role"), [("no address", "member"), ("a@example.com", "root"), ("owner@example.com", "member")]
)
def test_what_can_not_be_invited_is_said(page, email, role):
    assert page.post("/members/invite", {"email": email, "role": role}).status_code == 400
    assert not MemberInvitation.objects.exists()
    assert mail.outbox == []


def test_a_mail_server_that_is_away_leaves_the_link(page, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = page.post("/members/invite", {"email": "ana@example.com", "role": "member"})
    assert "could not be sent" in answer.content.decode()
    assert answer.context["link"]


def test_only_owners_manage(organization, stranger):
    organizations.add_member(organization, stranger, "billing", by="test", reason="x")
    visitor = Client()
    visitor.force_login(stranger)
    text = visitor.get("/members/").content.decode()
    assert "Invite somebody" not in text
    member = Membership.objects.get(user=stranger)
    for address, fields in [
        ("/members/invite", {"email": "a@example.com", "role": "owner"}),
        (f"/members/{member.pk}/role", {"role": "owner"}),
        (f"/members/{member.pk}/remove", {}),
    ]:
        assert visitor.post(address, fields).status_code == 403
    assert Membership.objects.get(user=stranger).role == "billing"


def test_a_role_is_changed_and_recorded(page, organization, owner, stranger):
    organizations.add_member(organization, stranger, "member", by=owner, reason="x")
    member = Membership.objects.get(user=stranger)
    page.post(f"/members/{member.pk}/role", {"role": "owner"})
    member.refresh_from_db()
    assert member.role == "owner"
    entry = AuditEntry.objects.get(action="membership.role")
    assert (entry.before, entry.after) == ({"role": "member"}, {"role": "owner"})


def test_removing_a_member_ends_the_keys_they_made_unless_kept(organization, owner, stranger):
    organizations.add_member(organization, stranger, "owner", by=owner, reason="x")
    theirs, raw = keys.create(organization, "theirs", ["read"], by=stranger)
    _, mine = keys.create(organization, "mine", ["read"], by=owner)
    member = Membership.objects.get(user=stranger)
    assert memberships.remove(organization, member.pk, owner) == 1
    assert keys.find(raw) is None
    assert keys.find(mine) is not None
    assert not Membership.objects.filter(user=stranger).exists()
    assert AuditEntry.objects.get(action="membership.remove").after == {"keys_ended": 1, "keys_kept": False}
    organizations.add_member(organization, stranger, "owner", by=owner, reason="back")
    _, again = keys.create(organization, "again", ["read"], by=stranger)
    member = Membership.objects.get(user=stranger)
    assert memberships.remove(organization, member.pk, owner, keep_keys=True) == 0
    assert keys.find(again) is not None


def test_an_owner_stays(page, organization, owner, stranger):
    organizations.add_member(organization, stranger, "member", by=owner, reason="x")
    mine = Membership.objects.get(user=owner)
    for act in [
        lambda: memberships.change_role(organization, mine.pk, "member", owner),
        lambda: memberships.remove(organization, mine.pk, owner),
    ]:
        with pytest.raises(ApiError, match="without an owner"):
            act()
    with pytest.raises(IntegrityError, match="without an owner"), transaction.atomic():
        Membership.objects.filter(user=owner).update(role="billing")
    with pytest.raises(IntegrityError, match="without an owner"), transaction.atomic():
        Membership.objects.filter(organization=organization).delete()
    assert "without an owner" in page.post(f"/members/{mine.pk}/remove", follow=True).content.decode()
    assert Membership.objects.get(user=owner).role == "owner"
    assert not AuditEntry.objects.filter(action__in=["membership.role", "membership.remove"]).exists()


def test_another_organizations_member_is_not_found(organization, owner, stranger):
    organizations.create("Other", "free", stranger)
    theirs = Membership.objects.get(user=stranger)
    for act in [memberships.change_role, lambda o, m, r, b: memberships.remove(o, m, b)]:
        with pytest.raises(ApiError) as refused:
            act(organization, theirs.pk, "member", owner)
        assert refused.value.code == "not_found"


def test_two_owners_who_remove_each_other_leave_one(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        people = [User.objects.create_user(f"{name}@example.com") for name in ("ana", "ben")]
        organization = organizations.create("Acme", "free", people[0])
        organizations.add_member(organization, people[1], "owner", by="test", reason="x")
        rows = {m.user_id: m.pk for m in Membership.objects.all()}
        outcomes, start = [], threading.Barrier(2)

        def remove(me, other):
            start.wait()
            try:
                memberships.remove(organization, rows[other.pk], me)
                outcomes.append("removed")
            except ApiError:
                outcomes.append("refused")
            finally:
                connection.close()

        pairs = [people, people[::-1]]
        threads = [threading.Thread(target=remove, args=pair) for pair in pairs]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(outcomes) == ["refused", "removed"]
        assert Membership.objects.filter(role="owner").count() == 1


def test_the_page_needs_few_queries(page, organization, owner, django_assert_max_num_queries):
    for number in range(5):
        person = User.objects.create_user(f"p{number}@example.com")
        organizations.add_member(organization, person, "member", by=owner, reason="x")
        keys.create(organization, f"k{number}", ["read"], by=person)
        invite(page, f"q{number}@example.com")
    with django_assert_max_num_queries(14):
        assert page.get("/members/").status_code == 200


# Keys


def test_a_rotated_key_has_a_new_secret_and_the_old_one_lives_for_hours(page, organization, owner):
    key, old = keys.create(organization, "farm", ["read", "generate"], by=owner)
    answer = page.post(f"/keys/{key.pk}/rotate", {"hours": "24"})
    new = answer.context["raw"]
    assert "The old secret goes on for 24 h" in answer.content.decode()
    made = keys.find(new)
    assert (made.name, made.scopes, made.replaces_id) == ("farm", ["read", "generate"], key.pk)
    assert keys.find(old) is not None
    key.refresh_from_db()
    assert timedelta(hours=23) < key.expires_at - made.created_at <= timedelta(hours=24)
    with pytest.raises(ApiError) as refused:
        keys.rotate(key, owner, 24)
    assert refused.value.code == "not_ready"
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(expires_at=None)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(expires_at=key.expires_at + timedelta(days=1))


def test_with_no_hours_the_old_secret_ends_at_once(organization, owner):
    key, old = keys.create(organization, "farm", ["read"], by=owner)
    keys.rotate(key, owner, 0)
    assert keys.find(old) is None


@pytest.mark.parametrize("hours", ["-1", "", "721", "x"])
def test_wrong_hours_change_nothing(page, organization, owner, hours):
    key, old = keys.create(organization, "farm", ["read"], by=owner)
    assert page.post(f"/keys/{key.pk}/rotate", {"hours": hours}).status_code == 400
    assert ApiKey.objects.count() == 1
    assert keys.find(old) is not None


def test_another_organizations_key_is_not_rotated(page, stranger):
    other = organizations.create("Other", "free", stranger)
    key, raw = keys.create(other, "farm", ["read"], by=stranger)
    assert page.post(f"/keys/{key.pk}/rotate", {"hours": "1"}).status_code == 404
    assert keys.find(raw) is not None

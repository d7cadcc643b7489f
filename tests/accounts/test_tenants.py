"""Organizations, their members, and whom a session speaks for."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.db import IntegrityError, transaction
from django.test import RequestFactory

from accounts import identity, organizations, staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Enrollment, Membership, Organization, StaffRole, User

pytestmark = pytest.mark.django_db


def request_of(user):
    request = RequestFactory().get("/")
    request.user = user
    request.session = SessionStore()
    return request


def again(request):
    """The next request of the same session."""
    later = request_of(User.objects.get(pk=request.user.pk))
    later.session = request.session
    return later


def test_an_organization_comes_with_owner_tier_and_audit(owner):
    made = organizations.create("Röhm & Söhne", "free", owner)
    assert (made.slug, made.name) == ("rohm-sohne", "Röhm & Söhne")
    assert list(made.memberships.values_list("user__email", "role")) == [("owner@example.com", "owner")]
    assert list(made.enrollments.values_list("tier_id", flat=True)) == ["free"]
    entry = AuditEntry.objects.get(action="organization.create")
    assert (entry.actor, entry.organization, entry.target) == (owner, made, "organization:rohm-sohne")


def test_a_taken_slug_gets_a_suffix_unless_it_was_chosen(organization, owner):
    second = organizations.create("Acme Films", "free", owner)
    assert second.slug.startswith("acme-films-")
    with pytest.raises(ApiError) as refused:
        organizations.create("Other", "free", owner, slug="acme-films")
    assert (refused.value.code, refused.value.param) == ("invalid_value", "slug")
    assert Organization.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "tier", "slug", "param"),
    [
        ("  ", "free", None, "name"),
        ("x", "gold", None, "tier"),
        ("x", "free", "No Slug", "slug"),
        ("x", "free", "a" * 61, "slug"),
    ],
)
def test_bad_fields_make_nothing(owner, name, tier, slug, param):
    with pytest.raises(ApiError) as refused:
        organizations.create(name, tier, owner, slug=slug)
    assert refused.value.param == param
    assert not Organization.objects.exists()
    assert not Enrollment.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", ["日本", "!!!", "-", "x" * 300])
def test_any_name_gives_a_slug(owner, name):
    made = organizations.create(name, "free", owner)
    assert organizations.SLUG.fullmatch(made.slug)
    assert len(made.name) <= 120


def test_addresses_are_one_whatever_their_case(owner):
    assert User.objects.create_user(" New@Example.COM ").email == "new@example.com"
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user("OWNER@example.com")
    with pytest.raises(IntegrityError, match="user_email_is_lower_case"), transaction.atomic():
        User.objects.bulk_create([User(email="Owner@example.com", password="x")])


def test_nobody_and_a_person_without_organization_are_no_callers(stranger):
    assert identity.session_caller(request_of(AnonymousUser())) is None
    assert identity.session_caller(request_of(stranger)) is None


def test_a_session_speaks_for_its_person_with_the_scopes_of_their_role(organization, owner, stranger):
    caller = identity.session_caller(request_of(owner))
    assert (caller.organization, caller.user, caller.api_key) == (organization, owner, None)
    assert caller.scopes == {"read", "generate", "billing", "admin"}
    organizations.add_member(organization, stranger, "member", by=owner, reason="a new colleague")
    member = identity.session_caller(request_of(stranger))
    assert member.scopes == {"read", "generate"}
    with pytest.raises(ApiError) as refused:
        member.require("admin")
    assert refused.value.status == 403


def test_one_query_a_request(organization, owner, django_assert_num_queries):
    request = request_of(owner)
    with django_assert_num_queries(1):
        identity.session_caller(request)
        identity.session_caller(request)


def test_the_choice_is_kept_and_checked_at_each_request(organization, owner, stranger):
    second = organizations.create("Second", "free", owner)
    organizations.add_member(second, stranger, "owner", by=owner, reason="an owner stays")
    request = request_of(owner)
    assert identity.session_caller(request).organization == organization
    assert identity.choose_organization(request, "second").organization == second
    assert identity.session_caller(request).organization == second
    assert identity.session_caller(again(request)).organization == second
    Membership.objects.filter(user=owner, organization=second).delete()
    assert identity.session_caller(again(request)).organization == organization


def test_another_tenants_organization_is_not_found(organization, owner, stranger):
    theirs = organizations.create("Theirs", "free", stranger)
    request = request_of(owner)
    for slug in ["theirs", "nowhere"]:
        with pytest.raises(ApiError) as refused:
            identity.choose_organization(request, slug)
        assert refused.value.code == "not_found"
    request.session[identity.SESSION_CHOICE] = theirs.pk  # a forged or stale choice
    assert identity.session_caller(request).organization == organization


def test_a_member_is_added_once(organization, owner, stranger):
    assert organizations.add_member(organization, stranger, "billing", by=owner, reason="books") is True
    assert organizations.add_member(organization, stranger, "owner", by=owner, reason="more") is False
    assert Membership.objects.get(user=stranger).role == "billing"
    assert AuditEntry.objects.filter(action="membership.create").count() == 1
    with pytest.raises(IntegrityError, match="membership_role_known"), transaction.atomic():
        Membership.objects.filter(user=stranger).update(role="root")


def test_staff_roles_are_granted_withdrawn_and_audited(stranger):
    assert staff.grant(stranger, "operator", by="test", reason="on call") is True
    assert staff.grant(stranger, "operator", by="test", reason="on call") is False
    staff.require(stranger, StaffRole.Role.OPERATOR)
    with pytest.raises(ApiError) as refused:
        staff.require(stranger, "billing_admin")
    assert refused.value.code == "insufficient_scope"
    assert User.objects.get(pk=stranger.pk).staff_roles == {"operator"}
    assert staff.withdraw(stranger, "operator", by="test", reason="left") is True
    assert staff.has_role(stranger, "operator") is False
    assert list(AuditEntry.objects.order_by("id").values_list("action", "before", "after")) == [
        ("staff_role.grant", None, "operator"),
        ("staff_role.withdraw", "operator", None),
    ]


def test_a_person_who_was_locked_out_has_no_role(stranger):
    staff.grant(stranger, "operator", by="test", reason="on call")
    stranger.is_active = False
    assert staff.has_role(stranger, "operator") is False

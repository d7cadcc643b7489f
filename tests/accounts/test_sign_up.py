"""Sign-up and sign-in by e-mail and password, through the real pages."""

import pytest
from django.contrib.auth import SESSION_KEY

from accounts import organizations
from accounts.models import AuditEntry, Organization, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


def sign_up(client, email, password=PASSWORD):
    return client.post("/accounts/signup/", {"email": email, "password1": password})


def test_signing_up_makes_a_person_with_an_organization_on_the_free_tier(client):
    answer = sign_up(client, "Maya.Maker@Example.com")
    assert answer.status_code == 302
    user = User.objects.get()
    assert user.email == "maya.maker@example.com"
    assert client.session[SESSION_KEY] == str(user.pk)
    organization = Organization.objects.get()
    assert (organization.slug, organization.name) == ("mayamaker", "maya.maker")
    assert list(organization.memberships.values_list("user", "role")) == [(user.pk, "owner")]
    assert list(organization.enrollments.values_list("tier_id", flat=True)) == ["free"]
    assert AuditEntry.objects.get().action == "organization.create"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("owner@example.com", PASSWORD),
        ("OWNER@EXAMPLE.COM", PASSWORD),
        ("no address", PASSWORD),
        ("", PASSWORD),
        ("new@example.com", "short"),
        ("new@example.com", "1234567890"),
        ("new@example.com", ""),
    ],
)
def test_what_can_not_be_a_sign_up_makes_nothing(client, owner, email, password):
    sign_up(client, email, password)
    assert SESSION_KEY not in client.session
    assert list(User.objects.all()) == [owner]
    assert not Organization.objects.exists()


def test_a_person_is_not_kept_without_an_organization(client, monkeypatch):
    def refuses(**fields):
        raise RuntimeError("no organizations today")

    monkeypatch.setattr(organizations, "create", refuses)
    client.raise_request_exception = False
    assert sign_up(client, "new@example.com").status_code == 500
    assert not User.objects.exists()


def sign_in(client, email, password):
    return client.post("/accounts/login/", {"login": email, "password": password})


def test_signing_in_by_address_in_any_case_and_out(client, owner):
    assert sign_in(client, "Owner@Example.com", "a long enough password").status_code == 302
    assert client.session[SESSION_KEY] == str(owner.pk)
    client.post("/accounts/logout/")
    assert SESSION_KEY not in client.session


@pytest.mark.parametrize(
    ("email", "password"), [("owner@example.com", "wrong"), ("nobody@example.com", PASSWORD)]
)
def test_a_wrong_password_and_a_stranger_stay_out(client, owner, email, password):
    assert sign_in(client, email, password).status_code == 200
    assert SESSION_KEY not in client.session


def test_a_locked_person_stays_out(client, owner):
    User.objects.update(is_active=False)
    sign_in(client, "owner@example.com", "a long enough password")
    assert SESSION_KEY not in client.session


def test_a_second_factor_asks_for_the_password_again_first(client, owner):
    client.force_login(owner)
    assert client.get("/accounts/2fa/").status_code == 200
    answer = client.get("/accounts/2fa/totp/activate/")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")

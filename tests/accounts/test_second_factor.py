"""Staff rooms open only after a second factor, enrolled and shown in this session."""

import pytest
from allauth.mfa.models import Authenticator
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from accounts import second_factor, staff
from accounts.models import AuditEntry

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password"


@pytest.fixture
def operator(owner):
    staff.grant(owner, "operator", by="test", reason="on call")
    return owner


def sign_in(client, user):
    return client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})


def test_without_one_staff_are_sent_to_enrol(client, operator):
    sign_in(client, operator)
    answer = client.get("/operate/lanes/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/2fa/")
    assert "Staff rooms need a second factor" in client.get("/accounts/2fa/").content.decode()
    assert client.post("/operate/lanes/clips-plus/weight", {"weight": "4", "reason": "x"}).status_code == 302
    assert not AuditEntry.objects.filter(action="lane.weight").exists()
    assert client.get("/operate/lanes/events").status_code == 403


def test_enrolling_with_an_app_leads_to_recovery_codes_and_one_more_code_into_the_room(client, operator):
    sign_in(client, operator)
    answer = client.get("/accounts/2fa/totp/activate/", follow=True)
    answer = client.post(answer.redirect_chain[-1][0], {"password": PASSWORD})
    secret = client.get("/accounts/2fa/totp/activate/").context["form"].secret
    code, _ = second_factor.current_code(secret)
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code}, follow=True)
    assert "10 of 10 are left" in answer.content.decode()
    answer = client.get("/operate/lanes/")
    assert answer.headers["Location"] == "/accounts/2fa/reauthenticate/?next=%2Foperate%2Flanes%2F"
    code, _ = second_factor.current_code(secret)
    answer = client.post(answer.headers["Location"], {"code": code})
    assert answer.headers["Location"] == "/operate/lanes/"
    assert client.get("/operate/lanes/").status_code == 200
    stored = Authenticator.objects.get(type="totp").data["secret"]
    assert secret not in stored


def test_signing_in_asks_for_the_code_and_a_wrong_one_stays_out(client, operator):
    secret = second_factor.new_secret()
    assert second_factor.enrol_app(operator, secret) is True
    assert second_factor.enrol_app(operator, secret) is False
    answer = sign_in(client, operator)
    assert answer.headers["Location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/operate/lanes/").status_code == 302
    code, _ = second_factor.current_code(secret)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert client.post("/accounts/2fa/authenticate/", {"code": wrong}).status_code == 200
    assert "_auth_user_id" not in client.session
    assert client.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
    assert client.get("/operate/lanes/").status_code == 200


def test_a_session_begun_with_the_password_alone_stays_outside(client, operator):
    """As one of somebody who stole the password before the factor was enrolled."""
    client.force_login(operator)
    second_factor.enrol_app(operator, second_factor.new_secret())
    answer = client.get("/operate/lanes/")
    assert answer.headers["Location"].startswith("/accounts/2fa/reauthenticate/")
    assert client.get("/operate/lanes/events").status_code == 403


def test_removing_the_factor_shuts_the_room(client, operator):
    secret = second_factor.new_secret()
    second_factor.enrol_app(operator, secret)
    sign_in(client, operator)
    client.post("/accounts/2fa/authenticate/", {"code": second_factor.current_code(secret)[0]})
    assert client.get("/operate/lanes/").status_code == 200
    call_command("reset_second_factor", email=operator.email, reason="lost phone, called back")
    assert client.get("/operate/lanes/").headers["Location"] == "/accounts/2fa/"
    assert AuditEntry.objects.get(action="second_factor.reset").reason == "lost phone, called back"


def test_members_need_none(client, owner, organization):
    client.force_login(owner)
    assert client.get("/members/").status_code == 200


def test_a_secret_under_a_lost_key_says_what_to_do(owner, settings):
    adapter = second_factor.SecondFactorAdapter()
    kept = adapter.encrypt("JBSWY3DP")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of this installation"
    assert adapter.decrypt(kept) == "JBSWY3DP"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FALLBACKS"):
        adapter.decrypt(kept)

"""The gate at sign-up: invitations are counted under lock, and the daily cap holds however many come at once."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import gate, organizations
from accounts.models import (
    Cohort,
    InvitationCode,
    Organization,
    OutboxEvent,
    Registration,
    SignUpDay,
    SignUpPolicy,
    User,
)

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def set_policy(invite_only=False, cap=None):
    return SignUpPolicy.objects.create(
        invite_only=invite_only, daily_cap=cap, author="test", reason="for this test"
    )


def make_code(by, uses=1, credit_micro=0, **changes):
    cohort = Cohort.objects.create(
        name=f"cohort {Cohort.objects.count()}", created_by=by, credit_micro=credit_micro
    )
    shown, digest = gate.new_code()
    fields = {"max_uses": uses, "expires_at": timezone.now() + timedelta(days=1), "created_by": by, **changes}
    return InvitationCode.objects.create(cohort=cohort, digest=digest, last_four=shown[-4:], **fields), shown


def sign_up(client, email, code=""):
    return client.post("/accounts/signup/", {"email": email, "password1": PASSWORD, "invitation": code})


def made():
    return Organization.objects.filter(registration__isnull=False).count()


def test_open_to_all_it_counts_the_days_organizations(client):
    assert sign_up(client, "ana@example.com").status_code == 302
    assert sign_up(Client(), "ben@example.com").status_code == 302
    today = timezone.now().date()
    assert list(Registration.objects.order_by("id").values_list("day", "number")) == [(today, 1), (today, 2)]
    assert SignUpDay.objects.get().made == 2


def test_by_invitation_a_code_is_asked_for_and_counted(client, owner):
    set_policy(invite_only=True)
    code, shown = make_code(owner, credit_micro=5_000_000)
    page = client.get("/accounts/signup/").content.decode()
    assert "It takes an invitation for now." in page
    answer = sign_up(client, "ana@example.com")
    assert "Enter the code from your invitation" in answer.content.decode()
    assert made() == 0
    assert sign_up(client, "ana@example.com", f" {shown.lower().replace('-', ' ')} ").status_code == 302
    code.refresh_from_db()
    assert code.uses == 1
    registration = Registration.objects.get()
    assert (registration.code, registration.person.email) == (code, "ana@example.com")
    event = OutboxEvent.objects.get(topic="organization.created")
    assert event.key == str(registration.organization_id)
    told = {name: event.payload[name] for name in ("cohort", "credit_micro", "credit_days")}
    assert told == {"cohort": code.cohort_id, "credit_micro": 5_000_000, "credit_days": 90}


def test_a_link_may_carry_the_code(client, owner):
    _, shown = make_code(owner)
    assert f'value="{shown}"' in client.get(f"/accounts/signup/?invitation={shown}").content.decode()


@pytest.mark.parametrize("fault", ["used up", "expired", "revoked", "closed", "unknown"])
def test_a_code_that_does_not_stand_makes_nothing(client, owner, fault):
    past = timezone.now() - timedelta(seconds=1)
    code, shown = make_code(
        owner, expires_at=past if fault == "expired" else timezone.now() + timedelta(days=1)
    )
    if fault == "used up":
        InvitationCode.objects.update(uses=1)
    elif fault == "revoked":
        InvitationCode.objects.update(revoked_at=past)
    elif fault == "closed":
        Cohort.objects.update(closed_at=past)
    elif fault == "unknown":
        shown = gate.new_code()[0]
    answer = sign_up(client, "ana@example.com", shown)
    assert "This code is not known, was used up" in answer.content.decode()
    assert not User.objects.filter(email="ana@example.com").exists()
    assert made() == 0
    code.refresh_from_db()
    assert code.uses == (1 if fault == "used up" else 0)


def test_the_code_itself_is_nowhere_in_the_database(owner):
    code, shown = make_code(owner)
    assert len(shown.replace("-", "")) == 24
    assert code.digest == gate.digest_of(shown)
    assert shown.replace("-", "") not in str(InvitationCode.objects.values().get())


def test_a_full_day_says_when_to_come_back(client):
    set_policy(cap=1)
    sign_up(client, "ana@example.com")
    answer = sign_up(Client(), "ben@example.com")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "The 1 places for new organizations of today are taken. Come back after 00:00 UTC, in" in text
    assert not User.objects.filter(email="ben@example.com").exists()
    assert "are taken" in Client().get("/accounts/signup/").content.decode()
    assert SignUpDay.objects.get().made == 1


def test_a_refusal_under_the_lock_is_shown_on_the_page_too(client, monkeypatch):
    set_policy(cap=1)
    sign_up(client, "ana@example.com")
    monkeypatch.setattr(gate, "check", lambda code, now: None)  # as if the place was taken a moment later
    answer = sign_up(Client(), "ben@example.com")
    assert answer.status_code == 429
    assert "Come back after 00:00 UTC" in answer.content.decode()
    assert not User.objects.filter(email="ben@example.com").exists()


def test_the_database_holds_the_cap_and_the_count_by_itself(owner):
    set_policy(cap=1)
    one, two = (organizations.create(name, "free", owner) for name in ("One", "Two"))
    Registration.objects.create(organization=one, number=77, day="2020-01-01")
    assert Registration.objects.get().number == 1
    with pytest.raises(IntegrityError, match="the cap of 1 new organizations"), transaction.atomic():
        Registration.objects.create(organization=two)
    for change in [{"made": 0}, {"made": 9}]:
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            SignUpDay.objects.update(**change)
    with pytest.raises(DatabaseError, match="Cannot delete"), transaction.atomic():
        SignUpDay.objects.all().delete()
    code, _ = make_code(owner)
    InvitationCode.objects.update(uses=1)
    for change in [{"uses": 2}, {"uses": 0}, {"max_uses": 9}]:
        with pytest.raises(DatabaseError), transaction.atomic():
            InvitationCode.objects.filter(pk=code.pk).update(**change)

"""Access: changes of who may sign up are previewed, reasoned, recorded and undone; codes are shown once."""

import pytest
from django.test import Client

from accounts import access_actions, actions, gate, staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Cohort, InvitationCode, SignUpPolicy, User
from tests.console.people import signed_in, with_second_factor

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db):
    user = User.objects.create_user("bea@example.com", "a long enough password")
    staff.grant(user, "billing_admin", by="test", reason="for this test")
    return user


@pytest.fixture
def desk(admin):
    return with_second_factor(signed_in(admin), admin)


def rules():
    newest = gate.policy()
    return newest.invite_only, newest.daily_cap


def test_a_change_of_who_may_sign_up_is_previewed_then_applied_then_undone(desk, admin):
    fields = {"invite_only": "1", "cap": "5", "reason": "capacity is being proven"}
    text = desk.post("/staff/access/policy", {**fields, "step": "preview"}).content.decode()
    assert "From the next sign-up on: by invitation only, at most 5 new organizations a day." in text
    assert rules() == (False, None)
    assert desk.post("/staff/access/policy", {**fields, "step": "apply"}).status_code == 302
    assert rules() == (True, 5)
    entry = AuditEntry.objects.get(action="sign_up.policy")
    assert (entry.actor, entry.reason) == (admin, "capacity is being proven")
    assert (entry.before, entry.after) == (
        {"invite_only": False, "daily_cap": None},
        {"invite_only": True, "daily_cap": 5},
    )
    assert desk.post(f"/staff/access/changes/{entry.pk}/undo", {"reason": "proven"}).status_code == 302
    assert rules() == (False, None)
    assert SignUpPolicy.objects.count() == 3  # the rows are the history


def test_an_older_change_can_not_be_undone_over_a_newer_one(admin):
    first = actions.perform(access_actions.SetSignUpPolicy(True, 5), admin, "one")
    actions.perform(access_actions.SetSignUpPolicy(True, 9), admin, "two")
    with pytest.raises(ApiError):
        actions.revert(access_actions.SetSignUpPolicy(), first, admin, "back")
    assert rules() == (True, 9)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cap": "-1", "reason": "x"}, "Give the daily cap as a whole number"),
        ({"cap": "5", "reason": " "}, "Say why"),
        ({"cap": "9999999", "reason": "x"}, "A daily cap is 0 to 1,000,000"),
    ],
)
def test_a_wrong_policy_changes_nothing(desk, fields, words):
    answer = desk.post("/staff/access/policy", {**fields, "step": "apply"})
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert rules() == (False, None)


def test_a_cohort_and_a_code_that_is_shown_once_and_lets_somebody_in(desk):
    cohort = {"name": "film schools", "credit": "50", "credit_days": "30", "reason": "autumn"}
    assert desk.post("/staff/access/cohorts", cohort).status_code == 302
    made = Cohort.objects.get()
    assert (made.name, made.credit_micro, made.credit_days) == ("film schools", 50_000_000, 30)
    answer = desk.post(
        "/staff/access/codes",
        {"cohort": made.pk, "max_uses": "2", "days": "14", "reason": "the first school"},
    )
    shown = answer.context["made_code"]
    assert InvitationCode.objects.get().digest == gate.digest_of(shown)
    assert "no-cache" in answer.headers["Cache-Control"]
    told = str(list(AuditEntry.objects.values())).replace("-", "")
    assert shown.replace("-", "") not in told
    assert shown not in desk.get("/staff/access/").content.decode()
    fields = {"email": "ana@example.com", "password1": "correct horse battery", "invitation": shown}
    assert Client().post("/accounts/signup/", fields).status_code == 302
    text = desk.get("/staff/access/").content.decode()
    assert "1 of 2" in text
    assert "ana@example.com" in text


def test_closing_a_cohort_and_revoking_a_code(desk, admin):
    actions.perform(access_actions.OpenCohort("school"), admin, "x")
    cohort = Cohort.objects.get()
    for _ in range(2):
        actions.perform(access_actions.MakeCode(cohort.pk), admin, "x")
    first, second = InvitationCode.objects.order_by("pk")
    desk.post(f"/staff/access/codes/{first.pk}/revoke", {"reason": "leaked"})
    first.refresh_from_db()
    assert first.revoked_at is not None
    desk.post(f"/staff/access/cohorts/{cohort.pk}/close", {"reason": "enough"})
    cohort.refresh_from_db()
    assert cohort.closed_at is not None
    entry = AuditEntry.objects.get(action="cohort.close")
    desk.post(f"/staff/access/changes/{entry.pk}/undo", {"reason": "not enough"})
    cohort.refresh_from_db()
    assert cohort.closed_at is None
    made = AuditEntry.objects.filter(action="invitation_code.create").latest("id")
    desk.post(f"/staff/access/changes/{made.pk}/undo", {"reason": "a mistake"})
    second.refresh_from_db()
    assert second.revoked_at is not None


@pytest.mark.parametrize(
    "action",
    [
        access_actions.OpenCohort(" "),
        access_actions.OpenCohort("x", credit_micro=-1),
        access_actions.OpenCohort("x", credit_days=0),
        access_actions.MakeCode(0),
        access_actions.MakeCode(1, max_uses=0),
        access_actions.MakeCode(1, days=9999),
    ],
)
def test_bad_values_are_refused_with_nothing_made(admin, action):
    with pytest.raises(ApiError):
        actions.perform(action, admin, "because")
    assert not Cohort.objects.exists()
    assert not InvitationCode.objects.exists()
    assert not AuditEntry.objects.filter(action__in=[action.name]).exists()


def test_a_cohorts_name_is_taken_once_whatever_its_case(admin):
    actions.perform(access_actions.OpenCohort("School"), admin, "x")
    with pytest.raises(ApiError):
        actions.perform(access_actions.OpenCohort("school"), admin, "x")


def test_the_page_needs_few_queries_however_much_there_is(desk, admin, django_assert_max_num_queries):
    for number in range(6):
        actions.perform(access_actions.OpenCohort(f"school {number}"), admin, "x")
        actions.perform(access_actions.MakeCode(Cohort.objects.latest("pk").pk), admin, "x")
    with django_assert_max_num_queries(14):
        assert desk.get("/staff/access/").status_code == 200


def test_it_is_for_billing_admins(client, owner, organization):
    client.force_login(owner)
    assert client.get("/staff/access/").status_code == 403
    assert (
        client.post("/staff/access/policy", {"invite_only": "1", "reason": "x", "step": "apply"}).status_code
        == 403
    )
    assert rules() == (False, None)

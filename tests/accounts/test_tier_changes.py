"""A tier changes from a date on: previewed with its limits, undone until it is in force, never overwritten."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import actions, staff, tiers
from accounts.errors import ApiError
from accounts.models import AuditEntry, Enrollment, User
from accounts.tier_changes import ChangeTier, coming
from tests.console.people import signed_in, with_second_factor

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db):
    user = User.objects.create_user("bea@example.com")
    staff.grant(user, "billing_admin", by="test", reason="for this test")
    return user


def tier_at(organization, moment):
    return tiers.terms_for(organization.pk, moment).tier_id


def test_a_planned_change_comes_at_its_date(organization, admin):
    now = timezone.now()
    start = now + timedelta(days=10)
    entry = actions.perform(ChangeTier(organization, "pro", start), admin, "they grow")
    assert tier_at(organization, now) == "plus"
    assert tier_at(organization, start - timedelta(seconds=1)) == "plus"
    assert tier_at(organization, start) == "pro"
    assert [(row.tier_id, row.effective_from) for row in coming(organization, now)] == [("pro", start)]
    assert (entry.before, entry.after) == (
        {"tier": "plus"},
        {"tier": "pro", "effective_from": start.isoformat()},
    )


def test_the_preview_names_the_limits_and_what_it_does_to_the_price(organization):
    shown = ChangeTier(organization, "free").preview()
    limits = {row["limit"]: (row["before"], row["after"]) for row in shown.after["limits"]}
    assert limits["Denoising steps"] == (50, 30)
    assert limits["Open jobs"] == (60, 10)
    assert limits["Allowance per month"] == (4_000_000_000, 300_000_000)
    assert "Acme Films goes from plus to free at once." in shown.sentence
    assert "30 instead of 50 steps at most, so one at the default costs 0.60 times" in shown.sentence
    assert "3,700 units a month less are included" in shown.sentence
    assert Enrollment.objects.filter(organization=organization).count() == 1


def test_undo_until_it_is_in_force(organization, admin):
    now = timezone.now()
    start = now + timedelta(days=10)
    entry = actions.perform(ChangeTier(organization, "pro", start), admin, "they grow")
    actions.revert(ChangeTier(organization), entry, admin, "they don't")
    assert tier_at(organization, start + timedelta(days=1)) == "plus"
    assert coming(organization, now) == []
    assert Enrollment.objects.filter(organization=organization).count() == 3  # nothing is overwritten
    with pytest.raises(ApiError):
        actions.revert(ChangeTier(organization), entry, admin, "again")


def test_undoing_one_of_two_planned_changes_keeps_the_other(organization, admin):
    now = timezone.now()
    first, second = now + timedelta(days=10), now + timedelta(days=20)
    entry = actions.perform(ChangeTier(organization, "pro", first), admin, "one")
    actions.perform(ChangeTier(organization, "enterprise", second), admin, "two")
    actions.revert(ChangeTier(organization), entry, admin, "not yet")
    assert tier_at(organization, first) == "plus"
    assert tier_at(organization, second) == "enterprise"


def test_what_is_in_force_is_not_undone(organization, admin):
    at_once = actions.perform(ChangeTier(organization, "pro"), admin, "now")
    assert at_once.undo is None
    assert tier_at(organization, timezone.now()) == "pro"
    past = Enrollment.objects.create(
        organization=organization, tier_id="free", effective_from=timezone.now(), author="t", reason="t"
    )
    entry = AuditEntry.objects.create(
        actor=admin, actor_name="x", action="enrollment.change", target="organization:acme-films",
        organization=organization, reason="x", undo={"enrollment": past.pk},
    )  # fmt: skip
    with pytest.raises(ApiError, match="in force already"):
        actions.revert(ChangeTier(organization), entry, admin, "too late")
    assert tier_at(organization, timezone.now()) == "free"


@pytest.mark.parametrize("days", [-1, 401])
def test_a_date_lies_ahead_within_reason(organization, admin, days):
    with pytest.raises(ApiError) as refused:
        actions.perform(ChangeTier(organization, "pro", timezone.now() + timedelta(days=days)), admin, "x")
    assert refused.value.param == "effective_from"
    assert Enrollment.objects.filter(organization=organization).count() == 1


@pytest.mark.parametrize("tier", ["plus", "gold", ""])
def test_no_change_and_no_such_tier_are_refused(organization, admin, tier):
    with pytest.raises(ApiError) as refused:
        actions.perform(ChangeTier(organization, tier), admin, "x")
    assert refused.value.param == "tier"


def test_the_page_previews_applies_and_undoes(organization, admin, django_assert_max_num_queries):
    desk = with_second_factor(signed_in(admin), admin)
    assert "Acme Films" in desk.get("/staff/tiers/?q=owner@exam").content.decode()
    assert "No organization found" in desk.get("/staff/tiers/?q=nowhere").content.decode()
    start = (timezone.now() + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M")
    fields = {"tier": "pro", "effective_from": start, "reason": "they grow"}
    text = desk.post("/staff/tiers/acme-films/change", {**fields, "step": "preview"}).content.decode()
    assert "Acme Films goes from plus to pro from" in text
    assert Enrollment.objects.filter(organization=organization).count() == 1
    assert desk.post("/staff/tiers/acme-films/change", {**fields, "step": "apply"}).status_code == 302
    entry = AuditEntry.objects.get(action="enrollment.change")
    with django_assert_max_num_queries(12):
        text = desk.get("/staff/tiers/acme-films/").content.decode()
    assert f"/staff/tiers/acme-films/changes/{entry.pk}/undo" in text
    desk.post(f"/staff/tiers/acme-films/changes/{entry.pk}/undo", {"reason": "they don't"})
    assert coming(organization, timezone.now()) == []
    text = desk.get("/staff/tiers/acme-films/").content.decode()
    assert f"/changes/{entry.pk}/undo" not in text
    bad = desk.post(
        "/staff/tiers/acme-films/change", {"tier": "pro", "effective_from": "soon", "step": "apply"}
    )
    assert bad.status_code == 400
    assert desk.get("/staff/tiers/nowhere/").status_code == 404

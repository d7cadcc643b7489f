"""An operator's change: role, reason, effect, undo and record are one transaction."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from accounts import actions, staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Organization

pytestmark = pytest.mark.django_db


class Rename(actions.Action):
    """A tiny action: another name for an organization."""

    name = "organization.rename"
    title = "Rename an organization"
    role = "operator"

    def __init__(self, organization, wanted):
        self.organization = organization
        self.wanted = wanted

    @property
    def target(self):
        return f"organization:{self.organization.slug}"

    def preview(self):
        before = Organization.objects.get(pk=self.organization.pk).name
        sentence = f"{before} will be called {self.wanted}."
        return actions.Preview({"name": before}, {"name": self.wanted}, sentence)

    def apply(self, actor, reason, expires_at):
        return self._rename(self.wanted)

    def undo(self, actor, reason, undo):
        return self._rename(undo["name"])

    def _rename(self, wanted):
        row = Organization.objects.select_for_update().get(pk=self.organization.pk)
        before = row.name
        row.name = wanted
        row.save(update_fields=["name"])
        return {"before": {"name": before}, "after": {"name": wanted}, "undo": {"name": before}}


@pytest.fixture
def operator(stranger):
    staff.grant(stranger, "operator", by="test", reason="on call")
    return stranger


@pytest.fixture
def rename(organization):
    return Rename(organization, "Bcme Films")


def name_of(organization):
    return Organization.objects.get(pk=organization.pk).name


def entries():
    return AuditEntry.objects.filter(action__startswith="organization.rename")


def test_a_preview_changes_nothing(rename, organization):
    assert rename.preview() == actions.Preview(
        {"name": "Acme Films"}, {"name": "Bcme Films"}, "Acme Films will be called Bcme Films."
    )
    assert name_of(organization) == "Acme Films"
    assert not entries().exists()


def test_an_applied_action_is_recorded_as_it_happened(rename, organization, operator):
    expires_at = timezone.now() + timedelta(hours=1)
    entry = actions.perform(rename, operator, "a better name", expires_at)
    entry.refresh_from_db()
    assert name_of(organization) == "Bcme Films"
    assert (entry.action, entry.actor, entry.reason) == ("organization.rename", operator, "a better name")
    assert (entry.target, entry.organization) == ("organization:acme-films", organization)
    assert entry.before == {"name": "Acme Films"}
    assert entry.after == {"name": "Bcme Films", "expires_at": expires_at.isoformat()}
    assert entry.undo == {"name": "Acme Films"}


def test_undo_takes_it_back_and_is_recorded_too(rename, organization, operator):
    entry = actions.perform(rename, operator, "a better name")
    undone = actions.revert(rename, entry, operator, "it was not")
    assert name_of(organization) == "Acme Films"
    assert (undone.action, undone.reason) == ("organization.rename.undo", "it was not")
    assert (undone.before, undone.after) == ({"name": "Bcme Films"}, {"name": "Acme Films"})
    assert entries().count() == 2


def test_an_entry_of_something_else_can_not_be_undone(rename, organization, operator):
    other = AuditEntry.objects.filter(action="organization.create").get()
    with pytest.raises(ApiError) as refused:
        actions.revert(rename, other, operator, "why not")
    assert refused.value.code == "invalid_value"
    assert not entries().exists()


def test_without_the_role_nothing_happens(rename, organization, owner):
    with pytest.raises(ApiError) as refused:
        actions.perform(rename, owner, "because")
    assert refused.value.code == "insufficient_scope"
    assert name_of(organization) == "Acme Films"
    assert not entries().exists()


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_without_a_reason_nothing_happens(rename, organization, operator, reason):
    with pytest.raises(ApiError) as refused:
        actions.perform(rename, operator, reason)
    assert (refused.value.code, refused.value.param) == ("missing_required_parameter", "reason")
    assert name_of(organization) == "Acme Films"
    assert not entries().exists()


def test_an_expiry_lies_ahead(rename, organization, operator):
    with pytest.raises(ApiError) as refused:
        actions.perform(rename, operator, "because", timezone.now())
    assert (refused.value.code, refused.value.param) == ("invalid_value", "expires_at")
    assert name_of(organization) == "Acme Films"


def test_an_apply_that_fails_leaves_no_change_and_no_record(organization, operator):
    class Broken(Rename):
        def apply(self, actor, reason, expires_at):
            super().apply(actor, reason, expires_at)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        actions.perform(Broken(organization, "Bcme Films"), operator, "because")
    assert name_of(organization) == "Acme Films"
    assert not entries().exists()


def test_a_record_that_fails_leaves_no_change(organization, operator):
    class Nameless(Rename):
        name = " "

    with pytest.raises(IntegrityError):
        actions.perform(Nameless(organization, "Bcme Films"), operator, "because")
    assert name_of(organization) == "Acme Films"

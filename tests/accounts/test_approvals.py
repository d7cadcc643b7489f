"""A change above a limit waits for a second person: never the one who asked, never late, never twice."""

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import actions, approvals, organizations, staff
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, Organization, User
from tests.committed import committed

LIMIT = 10


class Rename(approvals.Approvable):
    """A new name for an organization; one of more than ten letters takes two people."""

    name = "test.rename"
    title = "Rename an organization"
    role = "billing_admin"

    def __init__(self, organization, wanted):
        self.organization = organization
        self.wanted = wanted

    @property
    def target(self):
        return f"organization:{self.organization.slug}"

    def second_person(self):
        return f"Names over {LIMIT} letters take two people." if len(self.wanted) > LIMIT else None

    def payload(self):
        return {"organization": self.organization.pk, "wanted": self.wanted}

    @classmethod
    def from_payload(cls, payload):
        return cls(Organization.objects.get(pk=payload["organization"]), payload["wanted"])

    def preview(self):
        before = self.organization.name
        return actions.Preview({"name": before}, {"name": self.wanted}, f"{before} becomes {self.wanted}.")

    def apply(self, actor, reason, expires_at):
        row = Organization.objects.select_for_update().get(pk=self.organization.pk)
        if self.wanted == "a name already taken":
            raise ApiError("invalid_value", "That name is taken by now.", param="name")
        before, row.name = row.name, self.wanted
        row.save(update_fields=["name"])
        return {"before": {"name": before}, "after": {"name": self.wanted}, "undo": None}

    def undo(self, actor, reason, undo):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(approvals._kinds, Rename.name, Rename)


def admin(email):
    user = User.objects.create_user(email)
    staff.grant(user, "billing_admin", by="test", reason="for this test")
    return user


@pytest.fixture
def ana(db):
    return admin("ana@example.com")


@pytest.fixture
def ben(db):
    return admin("ben@example.com")


@pytest.fixture
def long_name(organization):
    return Rename(organization, "A very long name indeed")


def name_of(organization):
    return Organization.objects.get(pk=organization.pk).name


def test_below_the_limit_one_person_is_enough(organization, ana):
    entry = approvals.submit(Rename(organization, "Short"), ana, "shorter")
    assert isinstance(entry, AuditEntry)
    assert name_of(organization) == "Short"
    assert not Approval.objects.exists()


def test_above_the_limit_it_waits_and_nothing_is_changed(organization, ana, ben, long_name):
    waiting = approvals.submit(long_name, ana, " a better name ")
    assert isinstance(waiting, Approval)
    assert name_of(organization) == "Acme Films"
    assert (waiting.state, waiting.reason, waiting.role) == ("pending", "a better name", "billing_admin")
    assert waiting.expires_at - waiting.requested_at == timedelta(hours=72)
    assert waiting.preview["sentence"] == "Acme Films becomes A very long name indeed."
    assert list(approvals.waiting_for(ben)) == [waiting]
    assert list(approvals.waiting_for(ana)) == []
    assert not AuditEntry.objects.filter(action="test.rename").exists()


def test_perform_can_not_go_around_it(organization, ana, long_name):
    with pytest.raises(ApiError) as refused:
        actions.perform(long_name, ana, "because")
    assert refused.value.code == "approval_required"
    assert name_of(organization) == "Acme Films"


def test_a_second_person_approves_and_the_record_names_both(organization, ana, ben, long_name):
    waiting = approvals.submit(long_name, ana, "a better name")
    entry = approvals.approve(waiting.pk, ben, "it is")
    assert name_of(organization) == "A very long name indeed"
    assert (entry.actor, entry.reason) == (ana, "a better name")
    assert entry.after == {
        "name": "A very long name indeed",
        "approval": waiting.pk,
        "approved_by": "ben@example.com",
    }
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by, waiting.entry) == ("approved", ben, entry)
    decided = AuditEntry.objects.get(action="approval.approve")
    assert (decided.actor, decided.reason, decided.target) == (ben, "it is", f"approval:{waiting.pk}")


@pytest.mark.parametrize("decide", [approvals.approve, approvals.reject])
def test_nobody_decides_on_what_they_asked_for(organization, ana, long_name, decide):
    waiting = approvals.submit(long_name, ana, "a better name")
    with pytest.raises(ApiError) as refused:
        decide(waiting.pk, ana, "of course")
    assert refused.value.code == "insufficient_scope"
    assert name_of(organization) == "Acme Films"
    assert Approval.objects.get().state == "pending"


def test_the_database_refuses_it_too(organization, ana, ben, long_name):
    waiting = approvals.submit(long_name, ana, "a better name")
    entry = AuditEntry.objects.latest("id")
    done = {"state": "approved", "decided_at": Now(), "decision_reason": "x", "entry": entry}
    for wrong, name in [
        ({**done, "decided_by": ana}, "approval_by_a_second_person"),
        ({**done, "decided_by": None}, "approval_by_a_second_person"),
        ({**done, "decided_by": ben, "entry": None}, "approval_done_if_and_only_if_approved"),
        ({**done, "decided_by": ben, "decision_reason": " "}, "approval_state_whole"),
        (
            {**done, "decided_by": ben, "decided_at": timezone.now() + timedelta(hours=73)},
            "approval_decided_in_time",
        ),
        ({"entry": entry}, "approval_done_if_and_only_if_approved"),
    ]:
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Approval.objects.filter(pk=waiting.pk).update(**wrong)
    for change in [{"payload": {}}, {"requested_by": ben}, {"expires_at": Now() + timedelta(days=9)}]:
        with pytest.raises(DatabaseError, match="request_is_fixed|Cannot update"), transaction.atomic():
            Approval.objects.filter(pk=waiting.pk).update(**change)
    with pytest.raises(DatabaseError, match="Cannot delete"), transaction.atomic():
        Approval.objects.all().delete()
    approvals.reject(waiting.pk, ben, "no")
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Approval.objects.update(state="pending", decided_by=None, decided_at=None)


def test_it_takes_the_role(organization, ana, stranger, long_name):
    waiting = approvals.submit(long_name, ana, "a better name")
    for act in [
        lambda: approvals.approve(waiting.pk, stranger, "yes"),
        lambda: approvals.reject(waiting.pk, stranger, "no"),
        lambda: approvals.withdraw(waiting.pk, stranger, "mine"),
        lambda: approvals.submit(Rename(organization, "Another very long name"), stranger, "please"),
    ]:
        with pytest.raises(ApiError) as refused:
            act()
        assert refused.value.code == "insufficient_scope"
    assert name_of(organization) == "Acme Films"


def test_who_asked_must_still_hold_the_role(organization, ana, ben, long_name):
    waiting = approvals.submit(long_name, ana, "a better name")
    staff.withdraw(ana, "billing_admin", by="test", reason="left")
    with pytest.raises(ApiError) as refused:
        approvals.approve(waiting.pk, ben, "yes")
    assert refused.value.code == "insufficient_scope"
    assert name_of(organization) == "Acme Films"


def test_what_is_refused_by_now_goes_on_waiting(organization, ana, ben):
    waiting = approvals.submit(Rename(organization, "a name already taken"), ana, "because")
    with pytest.raises(ApiError) as refused:
        approvals.approve(waiting.pk, ben, "yes")
    assert refused.value.param == "name"
    assert Approval.objects.get().state == "pending"
    assert not AuditEntry.objects.filter(action="approval.approve").exists()


def test_late_is_refused_and_upkeep_closes_it(organization, ana, ben, long_name, monkeypatch):
    monkeypatch.setattr(approvals, "PATIENCE", timedelta(microseconds=1))
    waiting = approvals.submit(long_name, ana, "a better name")
    with pytest.raises(ApiError) as refused:
        approvals.approve(waiting.pk, ben, "yes")
    assert refused.value.code == "already_decided"
    assert name_of(organization) == "Acme Films"
    assert approvals.expire() == 1
    assert approvals.expire() == 0
    assert Approval.objects.get().state == "expired"
    again = approvals.submit(long_name, ana, "once more")
    assert again.state == "pending"


def test_the_same_thing_waits_once(organization, ana, ben, long_name):
    approvals.submit(long_name, ana, "a better name")
    with pytest.raises(ApiError) as refused:
        approvals.submit(long_name, ben, "the same idea")
    assert refused.value.code == "already_decided"
    assert Approval.objects.count() == 1
    approvals.submit(Rename(organization, "Another very long name"), ben, "another idea")


def test_rejecting_and_withdrawing_change_nothing(organization, ana, ben, long_name):
    first = approvals.submit(long_name, ana, "a better name")
    approvals.reject(first.pk, ben, "no")
    second = approvals.submit(long_name, ana, "please")
    approvals.withdraw(second.pk, ana, "never mind")
    assert [row.state for row in Approval.objects.order_by("id")] == ["rejected", "withdrawn"]
    assert name_of(organization) == "Acme Films"
    for act in (approvals.approve, approvals.reject):
        with pytest.raises(ApiError) as refused:
            act(first.pk, ben, "changed my mind")
        assert refused.value.code == "already_decided"


def test_without_a_reason_nothing_happens(ana, ben, long_name):
    with pytest.raises(ApiError):
        approvals.submit(long_name, ana, " ")
    waiting = approvals.submit(long_name, ana, "a better name")
    for act, person in [(approvals.approve, ben), (approvals.reject, ben), (approvals.withdraw, ana)]:
        with pytest.raises(ApiError) as refused:
            act(waiting.pk, person, "  ")
        assert refused.value.param == "reason"
    assert Approval.objects.get().state == "pending"


def test_two_approvers_at_once_make_the_change_once(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        people = [admin(f"{name}@example.com") for name in ("ana", "ben", "cleo")]
        organization = organizations.create("Acme Films", "plus", people[0])
        waiting = approvals.submit(Rename(organization, "A very long name indeed"), people[0], "better")
        outcomes, start = [], threading.Barrier(2)

        def decide(person):
            start.wait()
            try:
                outcomes.append(approvals.approve(waiting.pk, person, "yes").action)
            except ApiError as refused:
                outcomes.append(refused.code)
            finally:
                connection.close()

        threads = [threading.Thread(target=decide, args=(person,)) for person in people[1:]]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(outcomes) == ["already_decided", "test.rename"]
        assert AuditEntry.objects.filter(action="test.rename").count() == 1

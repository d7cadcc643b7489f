"""The pages of approvals and of the audit log: who sees and decides what."""

import pytest

from accounts import approvals, audit, audit_chain, organizations, staff
from accounts.models import Approval, AuditSeal, Membership, User
from tests.accounts.test_approvals import Rename, name_of
from tests.console.people import signed_in, with_second_factor

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(approvals._kinds, Rename.name, Rename)


def person(email, role):
    user = User.objects.create_user(email)
    staff.grant(user, role, by="test", reason="for this test")
    return user


def desk(user):
    return with_second_factor(signed_in(user), user)


@pytest.fixture
def ana(db):
    return person("ana@example.com", "billing_admin")


@pytest.fixture
def ben(db):
    return person("ben@example.com", "billing_admin")


def test_one_asks_the_other_decides(organization, ana, ben):
    waiting = approvals.submit(Rename(organization, "A very long name indeed"), ana, "better")
    mine, theirs = desk(ana), desk(ben)
    text = mine.get("/staff/approvals/").content.decode()
    assert "You asked for this, so somebody else decides." in text
    assert "Approve and make it" not in text
    answer = mine.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "of course"})
    assert answer.status_code == 403
    text = theirs.get("/staff/approvals/").content.decode()
    assert "Acme Films becomes A very long name indeed." in text
    assert "Approve and make it" in text
    assert theirs.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": " "}).status_code == 400
    assert theirs.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "it is"}).status_code == 302
    assert name_of(organization) == "A very long name indeed"
    assert "Approved" in mine.get("/staff/approvals/").content.decode()


def test_refusing_withdrawing_and_nonsense(organization, ana, ben):
    first = approvals.submit(Rename(organization, "A very long name indeed"), ana, "better")
    desk(ben).post(f"/staff/approvals/{first.pk}/reject", {"reason": "no"})
    second = approvals.submit(Rename(organization, "Another very long name"), ana, "better")
    desk_of_ana = signed_in(ana)
    assert desk_of_ana.post(f"/staff/approvals/{second.pk}/withdraw", {"reason": "x"}).status_code == 302
    assert Approval.objects.get(pk=second.pk).state == "pending"  # it went to show the second factor first
    assert desk(person("cleo@example.com", "billing_admin")).post(
        f"/staff/approvals/{second.pk}/praise", {"reason": "x"}
    ).status_code == 404  # fmt: skip
    assert [row.state for row in Approval.objects.order_by("id")] == ["rejected", "pending"]
    assert name_of(organization) == "Acme Films"


def test_another_role_sees_and_decides_nothing(organization, ana):
    waiting = approvals.submit(Rename(organization, "A very long name indeed"), ana, "better")
    operator = desk(person("omar@example.com", "operator"))
    text = operator.get("/staff/approvals/").content.decode()
    assert "A very long name" not in text
    assert operator.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "x"}).status_code == 403
    assert name_of(organization) == "Acme Films"


def test_staff_filter_the_audit_log_and_see_how_far_it_is_sealed(
    organization, ana, django_assert_max_num_queries
):
    for number in range(60):
        audit.record(
            actor="auto-raise rule",
            action="lane.weight",
            target=f"lane:{number}",
            reason="x",
            before=None,
            after=None,
        )
    page = desk(ana)
    with django_assert_max_num_queries(10):
        answer = page.get("/staff/audit/")
    assert len(answer.context["page"].entries) == 50
    older = page.get("/staff/audit/" + answer.context["page"].older)
    assert older.context["page"].entries[0].pk < answer.context["page"].entries[-1].pk
    assert "Not sealed yet" in answer.content.decode()
    shown = [entry.action for entry in page.get("/staff/audit/?action=organization.").context["page"].entries]
    assert shown == ["organization.create"]
    found = page.get("/staff/audit/?actor=auto&target=lane:7&since=2020-01-01&until=2999-01-01").context[
        "page"
    ]
    assert [entry.target for entry in found.entries] == ["lane:7"]
    assert page.get("/staff/audit/?since=2999-01-01").context["page"].entries == []
    assert page.get("/staff/audit/?since=nonsense&before=x").status_code == 200


def test_owners_see_their_organizations_own_and_staff_only_as_staff(
    client, organization, owner, stranger, ana
):
    other = organizations.create("Other", "free", stranger)
    audit.record(
        actor=ana, action="credits.adjust", target="wallet:1", reason="a refund", before=None,
        after={"approved_by": "ben@example.com", "amount": 1}, organization=organization,
    )  # fmt: skip
    audit.record(
        actor=ana,
        action="secret.thing",
        target="x:1",
        reason="x",
        before=None,
        after=None,
        organization=other,
    )
    client.force_login(owner)
    text = client.get("/audit/").content.decode()
    assert "organization.create" in text
    assert "Backlot staff" in text
    for hidden in ("ana@example.com", "ben@example.com", "secret.thing"):
        assert hidden not in text
    assert client.get("/audit/?actor=ana@example.com").content.decode().count("credits.adjust") == 1
    Membership.objects.create(organization=organization, user=ana, role="member")
    client.force_login(ana)
    assert client.get("/audit/").status_code == 403


def test_sealed_up_to_is_shown(ana):
    AuditSeal.objects.create(
        number=1, first_id=1, last_id=10**9, entry_ids=[1], entry_digests=b"x" * 32,
        previous_digest=audit_chain.GENESIS, digest="a" * 64,
    )  # fmt: skip
    assert f"Sealed up to {10**9}" in desk(ana).get("/staff/audit/").content.decode()

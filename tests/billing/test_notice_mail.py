"""A notice is mailed once, to those who look after the credits, whoever wrote its row."""

import smtplib

import pytest
from django.core import mail

from accounts import organizations
from accounts.models import Membership, OutboxEvent, User
from billing import notice_mail, notices
from billing.models import Notice
from tests.billing.conftest import new_organization


@pytest.fixture
def owner(organization) -> User:
    owner = User.objects.create_user("owner@example.com")
    organizations.add_member(organization, owner, "owner", "test", "for this test")
    for role in ("billing", "member"):
        person = User.objects.create_user(f"{role}@example.com")
        Membership.objects.create(organization=organization, user=person, role=role)
    stranger = User.objects.create_user("stranger@example.com")
    organizations.add_member(new_organization(), stranger, "owner", "test", "for this test")
    return owner


def waiting() -> list[str]:
    return list(
        OutboxEvent.objects.filter(topic=notice_mail.TOPIC, dispatched_at=None).values_list("key", flat=True)
    )


def test_once_to_owner_and_billing(organization, owner, settings):
    settings.SITE_URL = "https://backlot.example"
    for _ in range(3):
        notices.tell(organization.pk, "budget_alert", "b:1", "80 of 100 credits are used.", link="/budgets/")
    assert notice_mail.send_due() == 1
    assert notice_mail.send_due() == 0
    (sent,) = mail.outbox
    assert sorted(sent.bcc) == ["billing@example.com", "owner@example.com"]
    assert (sent.to, sent.cc) == ([], [])
    assert sent.subject == "Billing test: Budget alert"
    assert "80 of 100 credits are used." in sent.body
    assert "https://backlot.example/budgets/" in sent.body
    assert sent.extra_headers["Message-ID"].startswith(f"<notice-{Notice.objects.get().pk}@")


def test_a_row_that_was_written_past_all_code_is_mailed_as_well(organization, owner):
    row = Notice.objects.create(organization=organization, kind="top_up_failed", key="p", message="Declined.")
    assert waiting() == [str(row.pk)]
    assert notice_mail.send_due() == 1
    assert "Declined." in mail.outbox[0].body


def test_a_mail_server_that_is_away_puts_it_off(organization, owner, monkeypatch):
    def refuse(self, fail_silently=False):
        raise smtplib.SMTPServerDisconnected("gone")

    Notice.objects.create(organization=organization, kind="invoice", key="i", message="An invoice.")
    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    assert notice_mail.send_due() == 0
    event = OutboxEvent.objects.get(topic=notice_mail.TOPIC)
    assert (event.dispatched_at, event.attempts) == (None, 1)
    assert "gone" in event.last_error


def test_without_a_reader_nothing_is_sent_and_nothing_waits(organization):
    Notice.objects.create(organization=organization, kind="invoice", key="i", message="An invoice.")
    assert notice_mail.send_due() == 1
    assert mail.outbox == []
    assert waiting() == []

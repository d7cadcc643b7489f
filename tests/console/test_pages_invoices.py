"""Invoices of overage and receipts of purchases: the customer's own, by page and by program."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import keys, tiers
from billing import access, invoices
from billing.models import Invoice, Notice, OverageContract, Payment
from billing.settlement import settle
from tests.billing.conftest import CREDIT, UNIT, asking
from tests.console.billing_stage import bought
from tests.console.people import join, person, signed_in

pytestmark = pytest.mark.django_db
LAST_MONTH = timezone.now().astimezone(UTC).replace(day=1, hour=12, minute=0) - timedelta(days=10)


def invoiced(organization, units: int = 100, at: datetime = LAST_MONTH) -> Invoice:
    """30 credits used above none at all, by a contract of 50 a month."""
    OverageContract.objects.create(
        organization=organization,
        limit_month_micro=50 * CREDIT,
        effective_from=at - timedelta(days=1),
        author="test",
        reason="test",
    )
    with transaction.atomic():
        decision = access.decide_and_hold(
            asking(organization, units), tiers.terms_for(organization.pk, timezone.now()), at
        )
    assert decision.allowed, decision.message
    settle(
        decision.hold.pk,
        outcome="delivered",
        units_micro=units * UNIT,
        quantity=1,
        subject=decision.subject,
        reason_code="delivered",
        at=at,
    )
    assert invoices.issue_due(timezone.now()) == 1
    return Invoice.objects.get(organization=organization)


def test_an_open_invoice_and_then_a_paid_one(django_user_model):
    client, caller = person(tier="enterprise", credit=0)
    invoice = invoiced(caller.organization)
    assert Notice.objects.get(organization=caller.organization, kind="invoice").link == "/invoices/"
    html = client.get("/invoices/").content.decode()
    row = html[html.index(f'id="invoice-{invoice.pk}"') :].partition("</tr>")[0]
    for words in (f"{invoice.month:%Y-%m}", "Open", "30 credits", "$0.30"):
        assert words in row
    staff = django_user_model.objects.create_user("billing@example.com")
    invoices.mark_paid(invoice.pk, by=staff, note="a private remark")
    html = client.get("/invoices/").content.decode()
    assert "Paid" in html[html.index(f'id="invoice-{invoice.pk}"') :].partition("</tr>")[0]
    assert "a private remark" not in html


def test_receipts_of_what_was_paid_and_of_nothing_else():
    client, caller = person()
    paid = bought(caller.organization)
    Payment.objects.filter(pk=paid.pk).update(
        receipt_url="https://pay.example/r/1", invoice_url="https://pay.example/i/1"
    )
    assert 'href="https://pay.example/r/1"' in client.get("/invoices/").content.decode()
    assert 'href="https://pay.example/i/1"' in client.get("/invoices/").content.decode()
    _, stranger = person()
    other = bought(stranger.organization)
    refused = client.get(f"/invoices/?after={other.pk}")
    assert refused.status_code == 400


def test_pages_of_them(monkeypatch):
    monkeypatch.setattr("billing.papers.SHOWN", 2)
    client, caller = person()
    payments = [bought(caller.organization) for _ in range(3)]
    for payment in payments:
        Payment.objects.filter(pk=payment.pk).update(receipt_url=f"https://pay.example/{payment.pk}")
    first = client.get("/invoices/").content.decode()
    assert [str(one.pk) in first for one in payments] == [False, True, True]
    second = client.get(f"/invoices/?after={payments[1].pk}").content.decode()
    assert f"https://pay.example/{payments[0].pk}" in second


@pytest.mark.parametrize("query", ["before=x", "before=2026-13", "after=x", "before=" + "9" * 30])
def test_a_page_that_does_not_exist_is_refused(query):
    assert person()[0].get(f"/invoices/?{query}").status_code == 400


def test_empty_they_teach_and_members_have_none():
    client, caller = person(credit=0)
    html = client.get("/invoices/").content.decode()
    assert "No invoices" in html
    assert "Nothing bought yet" in html
    assert signed_in(join(caller.organization, "member")).get("/invoices/").status_code == 403


def test_by_program(client):
    _, caller = person(tier="enterprise", credit=0)
    invoice = invoiced(caller.organization)
    _, raw = keys.create(caller.organization, "books", ["billing"], "test")
    headers = {"authorization": f"Bearer {raw}"}
    listed = client.get("/api/invoices", headers=headers).json()
    (one,) = listed["data"]
    assert (one["id"], one["state"], one["month"]) == (invoice.pk, "open", f"{invoice.month:%Y-%m}")
    assert (one["amount_micro"], one["amount_cents"], one["limit_month_micro"]) == (
        30 * CREDIT,
        30,
        50 * CREDIT,
    )
    assert (listed["has_more"], listed["last_id"]) == (False, one["month"])
    assert client.get(f"/api/invoices?after={one['month']}", headers=headers).json()["data"] == []
    assert client.get("/api/invoices?after=soon", headers=headers).json()["error"]["param"] == "after"
    _, other = keys.create(person()[1].organization, "books", ["billing"], "test")
    assert client.get("/api/invoices", headers={"authorization": f"Bearer {other}"}).json()["data"] == []

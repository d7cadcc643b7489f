"""Overage by contract: set with a preview and, above the limit, by two people; its invoices marked as paid."""

from datetime import UTC, timedelta

import pytest
from django.utils import timezone

from accounts import tiers
from accounts.models import Approval, AuditEntry
from billing import access
from billing.models import Account, Invoice, OverageContract
from billing.reconciliation import reconcile
from tests.console.billing_stage import CREDIT, UNIT, billing_admin, charged, customer
from tests.console.test_pages_billing_organizations import page_of

pytestmark = pytest.mark.django_db


def send(client, organization, step="apply", **fields):
    given = {"limit": "500", "effective_from": "", "reason": "contract 1182", "step": step, **fields}
    return client.post(f"{page_of(organization)}contract/", given)


def allowed(organization, units: int = 10) -> bool:
    now = timezone.now()
    terms = tiers.terms_for(organization.pk, now)
    return access.quote(organization.pk, units * UNIT, now, operation="clip", terms=terms).allowed


def test_a_contract_lets_an_organization_go_on_without_credits(django_assert_max_num_queries):
    client, user = billing_admin()
    organization = customer(tier="enterprise")
    assert not allowed(organization)
    with django_assert_max_num_queries(12):
        html = send(client, organization, "preview").content.decode()
    assert "may use 500.00 credits a month above its own, at once; it was 0.00" in html
    assert not OverageContract.objects.exists()
    send(client, organization)
    assert allowed(organization)
    made = OverageContract.objects.get()
    assert (made.limit_month_micro, made.author, made.reason) == (500 * CREDIT, user.email, "contract 1182")
    assert AuditEntry.objects.get(action="overage.set").after["contract"] == made.pk
    send(client, organization, limit="0")
    assert not allowed(organization)


def test_a_contract_with_a_date_counts_from_then_on():
    client, _ = billing_admin()
    organization = customer(tier="enterprise")
    send(
        client,
        organization,
        effective_from=f"{timezone.now().astimezone(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}",
    )
    assert OverageContract.objects.count() == 1
    assert not allowed(organization)


@pytest.mark.parametrize(
    "fields", [{"limit": "-1"}, {"limit": "much"}, {"effective_from": "2020-01-01T00:00"}, {"reason": " "}]
)
def test_a_wrong_contract_is_refused(fields):
    client, _ = billing_admin()
    assert send(client, customer(), **fields).status_code == 400
    assert not OverageContract.objects.exists()


def test_a_large_one_takes_two_people():
    client, _ = billing_admin()
    second, _ = billing_admin()
    organization = customer(tier="enterprise")
    send(client, organization, limit="10,001")
    assert not allowed(organization)
    second.post(f"/staff/approvals/{Approval.objects.get().pk}/approve", {"reason": "signed by sales"})
    assert allowed(organization)


def test_an_invoice_is_marked_as_paid_once():
    client, user = billing_admin()
    organization = customer(tier="enterprise")
    send(client, organization)
    charged(organization, 10, at=timezone.now())
    account = Account.objects.get(organization=organization, kind="overage")
    now = timezone.now().astimezone(UTC)
    invoice = Invoice.objects.create(
        organization=organization,
        contract=OverageContract.objects.get(),
        account=account,
        month=now.date().replace(day=1),
        amount_micro=500 * CREDIT,  # what is open of the month until its rest expires
        amount_cents=500,
    )
    address = f"{page_of(organization)}invoices/{invoice.pk}/paid"
    client.post(address, {"reason": " "})
    invoice.refresh_from_db()
    assert invoice.state == "open"
    client.post(address, {"reason": "bank transfer of 5 January"})
    invoice.refresh_from_db()
    assert (invoice.state, invoice.settled_by, invoice.note) == ("paid", user, "bank transfer of 5 January")
    client.post(address, {"reason": "again"})
    assert AuditEntry.objects.filter(action="invoice.paid").count() == 1
    other = f"{page_of(customer())}invoices/{invoice.pk}/paid"
    assert client.post(other, {"reason": "not theirs"}).status_code == 404
    assert reconcile().drift == ()

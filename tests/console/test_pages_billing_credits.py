"""Grants, adjustments, refunds and voids: previewed, with a reason, above a limit by two people, never edited."""

import re
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry
from billing.actions.adjustments import AdjustCredits, GrantCredits, RefundCharge, VoidTransaction, buckets
from billing.actions.payment_refunds import RefundPayment
from billing.models import Adjustment, BillingSettings, Payment, Refund, Transaction
from billing.reconciliation import reconcile
from tests.console.billing_stage import CREDIT, billing_admin, bought, charged, customer
from tests.console.people import person
from tests.console.test_pages_billing_organizations import page_of, text_of

pytestmark = pytest.mark.django_db

LIMIT = 10_000 * CREDIT


def key() -> str:
    return str(uuid.uuid4())


def send(client, organization, verb, step="apply", query="", **fields):
    given = {"kind": "Goodwill", "reason": "three late clips", "key": key(), "step": step, **fields}
    return client.post(f"{page_of(organization)}credits/{verb}/{query}", given)


def purchased(organization) -> int:
    return buckets(organization.pk)["purchased"]


def test_a_preview_shows_before_and_after_and_changes_nothing():
    client, _ = billing_admin()
    organization = customer(credits=10)
    html = send(client, organization, "grant", "preview", amount="250", bucket="purchased").content.decode()
    assert re.search(
        r"<td>Purchased credits</td><td class=\"number\">10</td><td class=\"number\">260</td>", html
    )
    assert "gets 250.00 purchased credits" in html
    assert purchased(organization) == 10 * CREDIT
    assert not Adjustment.objects.exists()
    assert Transaction.objects.filter(organization=organization).count() == 1


def test_a_grant_is_posted_recorded_and_audited(django_assert_max_num_queries):
    client, user = billing_admin()
    organization = customer()
    with django_assert_max_num_queries(50):
        answer = send(client, organization, "grant", amount="1,250.5", bucket="purchased")
    assert answer.headers["Location"] == page_of(organization)
    assert purchased(organization) == 1_250_500_000
    made = Adjustment.objects.get()
    assert (made.kind, made.state, made.amount_micro) == ("grant", "applied", 1_250_500_000)
    assert (made.requested_by, made.approved_by, made.reason) == (user, None, "Goodwill: three late clips")
    assert made.transaction.actor == user
    entry = AuditEntry.objects.get(action="credits.give")
    assert (entry.actor, entry.organization) == (user, organization)
    assert (entry.before["purchased"], entry.after["purchased"]) == (0, 1_250_500_000)
    assert reconcile().drift == ()


def test_promotional_credits_are_granted_with_their_expiry():
    client, _ = billing_admin()
    organization = customer()
    assert send(client, organization, "grant", amount="5", bucket="promotional").status_code == 400
    until = (timezone.now() + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M")
    send(client, organization, "grant", amount="5", bucket="promotional", until=until)
    account = organization.accounts.get(kind="promotional")
    assert (account.balance, account.expires_at.strftime("%Y-%m-%dT%H:%M")) == (5 * CREDIT, until)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": " "},
        {"kind": ""},
        {"amount": ""},
        {"amount": "ten"},
        {"amount": "1e3"},
        {"amount": "0"},
        {"amount": "-5"},
        {"amount": "0.0000001"},
        {"bucket": "held"},
        {"key": ""},
    ],
)
def test_a_grant_without_reason_or_with_a_wrong_value_changes_nothing(fields):
    client, _ = billing_admin()
    organization = customer()
    answer = send(client, organization, "grant", **{"amount": "5", "bucket": "purchased", **fields})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert not Transaction.objects.filter(organization=organization).exists()
    assert not AuditEntry.objects.filter(action="credits.give").exists()


def test_the_same_form_sent_twice_counts_once():
    client, _ = billing_admin()
    organization, once = customer(), key()
    send(client, organization, "grant", amount="5", bucket="purchased", key=once)
    again = send(client, organization, "grant", amount="5", bucket="purchased", key=once)
    assert again.status_code == 409
    assert "not made twice" in again.content.decode()
    assert purchased(organization) == 5 * CREDIT


def test_an_adjustment_never_takes_more_than_there_is():
    client, _ = billing_admin()
    organization = customer(credits=10)
    assert send(client, organization, "adjust", amount="-10.000001").status_code == 400
    assert purchased(organization) == 10 * CREDIT
    send(client, organization, "adjust", amount="-4")
    assert purchased(organization) == 6 * CREDIT
    assert Transaction.objects.get(kind="adjustment").entries.count() == 2
    assert reconcile().drift == ()


def test_a_charge_is_refunded_in_parts_and_never_beyond():
    client, _ = billing_admin()
    organization = customer(tier="enterprise", credits=10)
    charge = charged(organization, 10)
    query = f"?charge={charge.pk}"
    send(client, organization, "refund", query=query, amount="1")
    assert purchased(organization) == 8 * CREDIT
    assert send(client, organization, "refund", query=query, amount="2.5").status_code == 400
    send(client, organization, "refund", query=query, amount="2")
    assert purchased(organization) == 10 * CREDIT
    assert send(client, organization, "refund", query=query, amount="0.000001").status_code == 400
    assert Adjustment.objects.filter(charge=charge).count() == 2
    assert reconcile().drift == ()


def test_a_grant_is_voided_by_its_reversal_once_and_only_whole():
    client, _ = billing_admin()
    organization = customer(tier="enterprise")
    send(client, organization, "grant", amount="10", bucket="purchased")
    line = Transaction.objects.get(kind="grant")
    charged(organization, 10)
    spent = send(client, organization, "void", query=f"?line={line.pk}")
    assert spent.status_code == 400
    assert "Only 7.00 credits of it are left" in spent.content.decode()
    send(client, organization, "grant", amount="3", bucket="purchased")
    assert send(client, organization, "void", query=f"?line={line.pk}").status_code == 302
    assert purchased(organization) == 0
    assert line.reversal.kind == "void"
    assert line.entries.count() == 2  # as it was posted
    assert send(client, organization, "void", query=f"?line={line.pk}").status_code == 400
    assert reconcile().drift == ()


def test_another_organizations_charge_line_or_payment_is_not_found():
    client, _ = billing_admin()
    mine, theirs = customer(), customer(credits=10)
    charge, line, payment = charged(theirs), Transaction.objects.get(kind="grant"), bought(theirs)
    for verb, query in (
        ("refund", f"charge={charge.pk}"),
        ("void", f"line={line.pk}"),
        ("pay-back", f"payment={payment.pk}"),
    ):
        assert send(client, mine, verb, query=f"?{query}", amount="1").status_code == 404
    assert client.get(f"{page_of(mine)}credits/burn/").status_code == 404
    assert not Adjustment.objects.exists()


def test_above_the_limit_it_waits_for_a_second_person_who_is_named():
    client, ana = billing_admin()
    second, ben = billing_admin()
    organization = customer()
    fields = {"amount": "10,000.000001", "bucket": "purchased", "key": key()}
    html = send(client, organization, "grant", "preview", **fields).content.decode()
    assert "Ask for approval" in html
    send(client, organization, "grant", **fields)
    assert purchased(organization) == 0
    (waiting,) = Approval.objects.all()
    assert waiting.preview["after"]["purchased"] == 10_000_000_001
    assert "10,000.000001" in second.get("/staff/approvals/").content.decode()
    assert client.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "mine"}).status_code == 403
    assert purchased(organization) == 0
    second.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "checked the contract"})
    assert purchased(organization) == 10_000_000_001
    made = Adjustment.objects.get()
    assert (made.requested_by, made.approved_by, made.decided_by) == (ana, ben, ben)
    assert "approved by " + ben.email in text_of(client.get(page_of(organization)).content.decode())
    assert reconcile().drift == ()


def test_small_amounts_of_a_day_count_together():
    client, _ = billing_admin()
    organization = customer()
    send(client, organization, "grant", amount="9,000", bucket="purchased")
    send(client, organization, "grant", amount="1,000.5", bucket="purchased")
    assert purchased(organization) == 9_000 * CREDIT
    assert "changed for this organization in the last 24 hours" in Approval.objects.get().limit
    send(client, customer(), "grant", amount="9,000", bucket="purchased")
    assert Approval.objects.count() == 1


def test_python_can_not_go_around_the_limit_and_the_database_refuses_it_too():
    _, ana = billing_admin()
    organization = customer()
    action = GrantCredits(organization=organization, key=key(), micro=LIMIT + 1, bucket="purchased")
    with pytest.raises(ApiError) as caught:
        action.apply(ana, "alone", None)
    assert caught.value.code == "approval_required"
    asked = Adjustment.objects.create(
        organization=organization,
        kind="grant",
        bucket="purchased",
        amount_micro=LIMIT + 1,
        reason="alone",
        requested_by=ana,
    )
    posted = action.post(ana, "alone", timezone.now())
    for approver in ("NULL", str(ana.pk)):
        with (
            pytest.raises(IntegrityError, match="needs a second person|adjustment_not_self_approved"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "UPDATE billing_adjustment SET state = 'applied', transaction_id = %s, decided_at = now(), "
                f"approved_by_id = {approver} WHERE id = %s",
                [posted.pk, asked.pk],
            )
    asked.refresh_from_db()
    assert asked.state == "requested"


def paid_for() -> Payment:
    """A pack of 1,000 credits for $10, bought through the sandbox's pages."""
    client, caller = person(credit=0)
    checkout = client.post("/credits/buy", {"pack": "starter", "key": "k1"})["Location"]
    client.post(checkout, {"card": "4242424242424242"})
    return Payment.objects.get(organization=caller.organization, state="paid")


def test_a_payment_is_refunded_with_its_provider(settings, django_capture_on_commit_callbacks):
    settings.PAYMENTS = "sandbox"
    client, ana = billing_admin()
    payment = paid_for()
    organization, query, once = payment.organization, f"?payment={payment.pk}", key()
    html = send(client, organization, "pay-back", "preview", query, amount="250").content.decode()
    assert "2.50 USD go back to who paid" in html
    assert re.search(r"<td class=\"number\">1,000</td><td class=\"number\">750</td>", html)
    assert not Refund.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        send(client, organization, "pay-back", query=query, amount="250", key=once)
    refund = Refund.objects.get()
    assert (refund.amount_cents, refund.state, refund.requested_by) == (250, "succeeded", ana)
    assert purchased(organization) == 750 * CREDIT
    again = send(client, organization, "pay-back", query=query, amount="250", key=once)
    assert (again.status_code, Refund.objects.count()) == (409, 1)
    assert send(client, organization, "pay-back", query=query, amount="750.000001").status_code == 400
    assert AuditEntry.objects.get(action="payment.refund").after["refund"] == refund.pk
    assert reconcile().drift == ()


def test_where_the_provider_is_off_no_payment_is_refunded():
    client, _ = billing_admin()
    organization = customer()
    payment = bought(organization)
    answer = send(client, organization, "pay-back", query=f"?payment={payment.pk}", amount="1")
    assert answer.status_code == 409
    assert purchased(organization) == 5_000 * CREDIT
    assert not Refund.objects.exists()


@pytest.mark.parametrize("kind", [AdjustCredits, GrantCredits, RefundCharge, VoidTransaction, RefundPayment])
def test_a_waiting_action_is_made_again_as_it_was(kind):
    organization = customer(credits=10)
    shared = {"organization": organization, "key": key()}
    until = timezone.now() + timedelta(days=3)
    rest = {
        AdjustCredits: lambda: {"micro": -5},
        GrantCredits: lambda: {"micro": 5, "bucket": "promotional", "until": until},
        RefundCharge: lambda: {"micro": 5, "charge": charged(organization)},
        VoidTransaction: lambda: {"line": Transaction.objects.get(kind="grant")},
        RefundPayment: lambda: {"micro": 5, "payment": bought(organization)},
    }[kind]()
    action = kind(**shared, **rest)
    again = kind.from_payload(action.payload())
    assert (again, again.payload(), again.target) == (action, action.payload(), action.target)


def test_the_limit_is_a_settings_row_and_raising_it_takes_two_people():
    client, _ = billing_admin()
    second, _ = billing_admin()
    settings = {"low_balance": "100", "sla_credit_days": "365", "reads_per_minute_factor": "10"}

    def change(above: str):
        fields = {"approval_above": above, **settings, "reason": "fewer large grants", "step": "apply"}
        return client.post("/staff/billing/settings/", fields)

    change("10")
    assert BillingSettings.objects.latest("effective_from").approval_above_micro == 10 * CREDIT
    organization = customer()
    send(client, organization, "grant", amount="10.5", bucket="purchased")
    assert purchased(organization) == 0
    change("20,000")
    assert BillingSettings.objects.latest("effective_from").approval_above_micro == 10 * CREDIT
    waiting = Approval.objects.get(action="billing_settings.change")
    second.post(f"/staff/approvals/{waiting.pk}/approve", {"reason": "agreed"})
    assert BillingSettings.objects.latest("effective_from").approval_above_micro == 20_000 * CREDIT
    assert change("-1").status_code == 400

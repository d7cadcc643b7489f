"""Buying through the pages with the sandbox provider: its cards, its events by the webhook handlers, its papers."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing.models import Account, Notice, Payment, PaymentEvent, SandboxEvent, Transaction
from billing.payments import pages, sandbox_delivery
from tests.billing.conftest import CREDIT
from tests.console.people import person

pytestmark = pytest.mark.django_db

GOOD, DECLINED, CONFIRMS, DISPUTED, FAILS_LATER = (
    "4242424242424242",
    "4000000000000002",
    "4000002760003184",
    "4000000000000259",
    "4000000000000341",
)


@pytest.fixture(autouse=True)
def _sandbox(settings) -> None:
    """As under DEBUG, which tests run without."""
    settings.PAYMENTS = "sandbox"


def checks_as_at_commit() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.fixture
def shopper():
    """A signed-in owner and their organization, without credits."""
    client, caller = person(credit=0)
    return client, caller.organization


def purchased(organization) -> int:
    found = Account.objects.filter(organization=organization, kind="purchased")
    return found.values_list("balance", flat=True).first() or 0


def press_buy(client: Client, pack: str = "starter", key: str = "k1", **more) -> str:
    """Press Buy on the page; the address of the checkout that it leads to."""
    answer = client.post("/credits/buy", {"pack": pack, "key": key, **more})
    assert answer.status_code == 302, answer.content.decode()
    return answer["Location"]


def pay(client: Client, address: str, card: str = GOOD):
    return client.post(address, {"card": card})


def bought(organization, card: str = GOOD, client: Client | None = None, **more) -> Payment:
    """A purchase all the way through the pages."""
    pay(client, press_buy(client, **more), card)
    return Payment.objects.filter(organization=organization).latest("created_at")


def test_three_clicks_bring_the_credits(shopper):
    client, organization = shopper
    page = client.get("/credits/").content.decode()
    assert "Sandbox: no real money" in page
    assert "Nothing bought yet" in page
    address = press_buy(client)
    checkout = client.get(address)
    assert "No real money is taken" in checkout.content.decode()
    assert "$10.00" in checkout.content.decode()
    assert not Transaction.objects.filter(organization=organization, kind="purchase").exists()
    back = pay(client, address)
    assert (back.status_code, back["Location"]) == (302, "http://testserver/credits/?bought=k1%3Astarter")
    after = client.get(back["Location"]).content.decode()
    assert "1,000 credits arrived" in after
    assert purchased(organization) == 1_000 * CREDIT
    payment = Payment.objects.get(organization=organization)
    assert (payment.state, payment.amount_cents, payment.provider) == ("paid", 1_000, "sandbox")
    assert (payment.receipt_url in after, payment.invoice_url in after) == (True, True)
    assert client.get(payment.receipt_url).status_code == 200
    assert "Sandbox invoice" in client.get(payment.invoice_url).content.decode()
    checks_as_at_commit()


def test_its_events_are_signed_and_judged_like_any_other(shopper):
    client, organization = shopper
    payment = bought(organization, client=client)
    events = PaymentEvent.objects.filter(payment=payment)
    assert set(events.values_list("kind", flat=True)) == {
        "payment_intent.succeeded",
        "charge.succeeded",
        "invoice.paid",
        "checkout.session.completed",
    }
    assert set(events.values_list("provider", "deliveries")) == {("sandbox", 1)}
    assert Transaction.objects.filter(payment=payment, kind="purchase").count() == 1


def test_delivered_again_its_events_change_nothing(shopper):
    client, organization = shopper
    bought(organization, client=client)
    SandboxEvent.objects.update(delivered_at=None)
    assert sandbox_delivery.deliver(timezone.now()) == 4
    assert purchased(organization) == 1_000 * CREDIT
    assert set(PaymentEvent.objects.values_list("deliveries", flat=True)) == {2}


def test_a_declined_card_says_so_and_another_one_pays(shopper):
    client, organization = shopper
    address = press_buy(client)
    refused = pay(client, address, DECLINED)
    assert "The card was declined. Nothing was charged" in refused.content.decode()
    payment = Payment.objects.get(organization=organization)
    assert (payment.state, payment.failure_code) == ("failed", "card_declined")
    page = client.get("/credits/").content.decode()
    assert "Try again" in page
    assert purchased(organization) == 0
    pay(client, address)
    payment.refresh_from_db()
    assert (payment.state, payment.failure_code) == ("paid", "")
    assert purchased(organization) == 1_000 * CREDIT
    checks_as_at_commit()


@pytest.mark.parametrize(("answer", "state", "credits"), [("yes", "paid", 1_000), ("no", "failed", 0)])
def test_a_card_that_needs_confirmation_gets_a_second_page(shopper, answer, state, credits):
    client, organization = shopper
    address = press_buy(client)
    second = pay(client, address, CONFIRMS)
    assert second.status_code == 302
    assert "Is this you?" in client.get(second["Location"]).content.decode()
    assert Payment.objects.get(organization=organization).state == "pending"
    client.post(second["Location"], {"answer": answer})
    payment = Payment.objects.get(organization=organization)
    assert (payment.state, purchased(organization)) == (state, credits * CREDIT)


def test_a_card_that_is_disputed_later_takes_its_credits_back(shopper):
    client, organization = shopper
    payment = bought(organization, DISPUTED, client=client)
    assert purchased(organization) == 1_000 * CREDIT
    assert sandbox_delivery.deliver(timezone.now()) == 0
    assert sandbox_delivery.deliver(timezone.now() + timedelta(seconds=31)) == 1
    payment.refresh_from_db()
    assert (payment.state, purchased(organization)) == ("disputed", 0)
    notice = Notice.objects.get(organization=organization)
    assert (notice.kind, "$10.00 was disputed" in notice.message) == ("payment_disputed", True)
    checks_as_at_commit()


@pytest.mark.parametrize(("decided", "state", "credits"), [("won", "paid", 1_000), ("lost", "lost", 0)])
def test_a_dispute_is_decided_on_its_receipt(shopper, decided, state, credits):
    client, organization = shopper
    payment = bought(organization, DISPUTED, client=client)
    sandbox_delivery.deliver(timezone.now() + timedelta(seconds=31))
    payment.refresh_from_db()
    client.post(payment.receipt_url, {"decide": decided})
    payment.refresh_from_db()
    assert (payment.state, purchased(organization)) == (state, credits * CREDIT)
    checks_as_at_commit()


def test_two_presses_are_one_purchase(shopper):
    client, organization = shopper
    assert press_buy(client) == press_buy(client)
    assert Payment.objects.filter(organization=organization).count() == 1


def test_coming_back_tells_of_the_purchase_one_comes_from(shopper):
    client, _ = shopper
    press_buy(client, key="left alone")
    back = pay(client, press_buy(client, "maker", key="paid"))["Location"]
    page = client.get(back).content.decode()
    assert "5,000 credits arrived" in page
    assert "Thank you" not in page
    assert "Thank you" in client.get("/credits/?bought=left+alone%3Astarter").content.decode()


def test_a_page_kept_open_after_paying_buys_nothing_by_itself(shopper):
    client, organization = shopper
    bought(organization, client=client)
    assert press_buy(client) == "/credits/"
    assert Payment.objects.filter(organization=organization).count() == 1


def test_a_checkout_that_nobody_pays_expires(shopper):
    client, organization = shopper
    address = press_buy(client)
    sandbox_delivery.deliver(timezone.now() + timedelta(hours=1, seconds=1))
    assert Payment.objects.get(organization=organization).state == "expired"
    assert pay(client, address)["Location"] == "http://testserver/credits/"
    assert purchased(organization) == 0


def test_what_is_no_test_card_is_not_taken(shopper):
    client, organization = shopper
    answer = pay(client, press_buy(client), "5555555555554444")
    assert "takes its test cards only" in answer.content.decode()
    assert Payment.objects.get(organization=organization).state == "pending"


def test_a_forged_event_is_refused_and_leaves_no_trace(shopper, client):
    buyer, organization = shopper
    press_buy(buyer)
    payment = Payment.objects.get(organization=organization)
    session = {
        "id": payment.provider_id,
        "object": "checkout.session",
        "payment_status": "paid",
        "amount_total": 1_000,
        "currency": "usd",
        "metadata": {"backlot_payment": str(payment.pk)},
    }
    forged = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": session}}
    for signature in (None, "", "t=1,v1=00", "nonsense"):
        headers = {} if signature is None else {"stripe-signature": signature}
        answer = client.post(
            "/api/payments/sandbox/webhook",
            json.dumps(forged),
            content_type="application/json",
            headers=headers,
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")
    assert PaymentEvent.objects.count() == 0
    assert purchased(organization) == 0


class TestWhoMay:
    @pytest.mark.parametrize(("role", "status"), [("owner", 200), ("billing", 200), ("member", 403)])
    def test_the_page_is_for_who_pays(self, role, status):
        client, _ = person(role, credit=0)
        assert client.get("/credits/").status_code == status
        assert client.post("/credits/buy", {"pack": "starter"}).status_code == (302 if status == 200 else 403)

    def test_off_without_debug_and_without_keys(self, shopper, settings):
        settings.PAYMENTS = ""
        client, organization = shopper
        page = client.get("/credits/")
        assert "Buying is not set up" in page.content.decode()
        answer = client.post("/credits/buy", {"pack": "starter", "key": "k"})
        assert answer.status_code == 409
        assert not Payment.objects.filter(organization=organization).exists()

    def test_the_sandboxs_pages_are_gone_where_it_is_not_in_use(self, shopper, settings):
        client, organization = shopper
        address = press_buy(client)
        settings.PAYMENTS = "off"
        assert client.get(address).status_code == 404
        assert pay(client, address).status_code == 404
        assert Payment.objects.get(organization=organization).state == "pending"


def test_the_page_asks_a_bounded_number_of_queries(shopper, django_assert_max_num_queries):
    client, organization = shopper
    for number in range(4):
        bought(organization, client=client, key=f"n{number}")
    client.get("/credits/")
    with django_assert_max_num_queries(22):
        client.get("/credits/")


def test_credits_after_a_dispute_of_spent_ones_pay_the_debt_first(shopper):
    from billing import ledger
    from billing.corrections import adjust

    client, organization = shopper
    bought(organization, DISPUTED, client=client)
    adjust(
        organization.pk, -600 * CREDIT, idempotency_key="spent", reason="spent", actor=None, at=timezone.now()
    )
    sandbox_delivery.deliver(timezone.now() + timedelta(seconds=31))
    owed = Account.objects.get(organization=organization, kind="receivable")
    assert (owed.balance, purchased(organization)) == (-600 * CREDIT, 0)
    assert "600" in client.get("/credits/").content.decode()
    bought(organization, client=client, key="k2")
    owed.refresh_from_db()
    assert (owed.balance, purchased(organization)) == (0, 400 * CREDIT)
    assert ledger.owed(ledger.open_books(organization.pk)) == 0
    checks_as_at_commit()


def test_the_page_follows_a_paid_purchase_until_its_receipt_is_there(shopper, monkeypatch):
    client, organization = shopper
    pay(client, press_buy(client))
    payment = Payment.objects.get(organization=organization)
    assert payment.receipt_url
    assert b"sse-connect" not in client.get("/credits/").content
    Payment.objects.update(receipt_url="")
    assert str(payment.pk).encode() in client.get("/credits/").content
    _, over = pages.live_parts(organization, [payment.pk])
    assert not over
    monkeypatch.setattr(pages, "RECEIPT_WITHIN", timedelta(0))
    _, over = pages.live_parts(organization, [payment.pk])
    assert over, "a receipt that does not come is not waited for"
    assert b"sse-connect" not in client.get("/credits/").content

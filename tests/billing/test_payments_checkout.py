"""Buying through Stripe's library and a server that stands in for Stripe: one payment, one charge, one grant."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import keys
from accounts.errors import ApiError
from accounts.models import OperationalEvent
from billing.models import Payment, PaymentCustomer, PaymentEvent, Transaction
from billing.payments import sweep
from tests.billing.conftest import new_organization
from tests.billing.payments_stage import (
    PACK,
    as_at_commit,
    balance,
    begin,
    bought,
    buyer,
    hear,
    stripe_server,
)
from tests.billing.stand_in_stripe import signed

__all__ = ["buyer", "stripe_server"]

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=5)


def sessions(server) -> list[dict]:
    return [one for one in server.objects.values() if one["object"] == "checkout.session"]


class TestOneOfEach:
    def test_paid_and_told_it_is_granted_once_with_its_papers(self, stripe_server, buyer):
        payment = begin(buyer)
        assert (payment.state, payment.checkout_url) == (
            "pending",
            f"https://checkout.example/{payment.provider_id}",
        )
        assert balance(buyer) == 0
        stripe_server.pay(payment.provider_id)
        # Intent, charge, invoice; the session then has nothing new to say.
        assert [event.outcome for event in hear(stripe_server)] == ["applied"] * 3 + ["no_change"]
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("paid", PACK)
        assert payment.receipt_url.startswith("https://receipt.example/ch_")
        assert payment.invoice_url.startswith("https://invoice.example/in_")
        (purchase,) = Transaction.objects.filter(payment=payment)
        assert (purchase.kind, purchase.reason) == ("purchase", "Bought: 1,000 credits for 10.00 USD")
        as_at_commit()

    def test_what_stripe_was_asked(self, stripe_server, buyer):
        payment = begin(buyer, keep_card=True)
        session = stripe_server.objects[payment.provider_id]
        assert (session["amount_total"], session["currency"]) == (1_000, "usd")
        assert session["metadata"] == {"backlot_payment": str(payment.pk), "backlot_keep_card": "yes"}
        assert session["intent_data"]["setup_future_usage"] == "off_session"
        assert session["success_url"] == "https://backlot.example/credits/"
        assert session["expires_at"] == int(payment.expires_at.timestamp())

    def test_every_call_that_changes_something_has_a_key(self, stripe_server, buyer):
        begin(buyer)
        assert [key for method, _, key in stripe_server.calls if method == "POST"] == [
            f"backlot-customer-{buyer.pk}-{buyer.slug}",
            f"backlot-checkout-{Payment.objects.get().pk}",
        ]

    def test_the_same_key_is_the_same_purchase(self, stripe_server, buyer):
        assert begin(buyer, "k") == begin(buyer, "k")
        assert (len(sessions(stripe_server)), Payment.objects.count()) == (1, 1)

    def test_the_same_key_for_another_pack_is_refused(self, stripe_server, buyer):
        begin(buyer, "k")
        with pytest.raises(ApiError, match="idempotency_key_reused"):
            begin(buyer, "k", keep_card=True)
        assert len(sessions(stripe_server)) == 1

    def test_a_customer_is_made_once(self, stripe_server, buyer):
        begin(buyer)
        begin(buyer)
        assert PaymentCustomer.objects.filter(organization=buyer).count() == 1
        assert [path for _, path, _ in stripe_server.calls].count("/v1/customers") == 1


class TestWhenStripeFails:
    def test_down_it_says_so_and_the_same_key_works_later(self, stripe_server, buyer):
        stripe_server.fail_next = 1
        with pytest.raises(ApiError, match="payment_provider_unavailable"):
            begin(buyer, "k")
        assert sessions(stripe_server) == []
        assert begin(buyer, "k").state == "pending"
        assert Payment.objects.count() == 1

    def test_a_lost_answer_is_asked_for_again_with_the_same_key(self, stripe_server, buyer):
        begin(buyer)  # the customer is known from here on
        stripe_server.lose_next = 1
        with pytest.raises(ApiError, match="payment_provider_unavailable"):
            begin(buyer, "k")
        assert len(sessions(stripe_server)) == 2
        again = begin(buyer, "k")
        assert len(sessions(stripe_server)) == 2
        assert again.provider_id == sessions(stripe_server)[1]["id"]

    def test_wrong_keys_are_for_operators_to_look_at(self, stripe_server, buyer, settings):
        settings.STRIPE_SECRET_KEY = "sk_test_wrong"
        with pytest.raises(ApiError, match="payment_refused"):
            begin(buyer)
        event = OperationalEvent.objects.get()
        assert (event.kind, event.severity) == ("payment.refused", "error")

    def test_paid_before_we_kept_the_sessions_id(self, stripe_server, buyer):
        """Killed between Stripe's answer and our commit: the event finds the payment by its metadata."""
        begin(buyer)
        stripe_server.lose_next = 1
        with pytest.raises(ApiError):
            begin(buyer, "k")
        payment = Payment.objects.get(idempotency_key="k")
        assert payment.provider_id == ""
        stripe_server.pay(sessions(stripe_server)[1]["id"])
        hear(stripe_server)
        payment.refresh_from_db()
        assert (payment.state, payment.provider_id) == ("paid", sessions(stripe_server)[1]["id"])
        assert (begin(buyer, "k").state, balance(buyer)) == ("paid", PACK)


class TestEvents:
    def test_again_they_only_count(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        events = list(stripe_server.events)
        hear(stripe_server)
        hear(stripe_server, events)
        hear(stripe_server, events[::-1])
        assert set(PaymentEvent.objects.values_list("deliveries", flat=True)) == {3}
        assert (balance(buyer), Transaction.objects.filter(payment=payment).count()) == (PACK, 1)

    def test_a_late_failure_does_not_take_a_payment_back(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.decline(payment.provider_id)
        (declined,) = stripe_server.events
        stripe_server.events = []
        stripe_server.pay(payment.provider_id)
        hear(stripe_server)
        assert [event.outcome for event in hear(stripe_server, [declined])] == ["no_change"]
        payment.refresh_from_db()
        assert (payment.state, payment.failure_code, balance(buyer)) == ("paid", "", PACK)

    def test_declined_then_expired_then_paid_after_all(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.decline(payment.provider_id)
        stripe_server.expire(payment.provider_id)
        hear(stripe_server)
        payment.refresh_from_db()
        assert (payment.state, payment.failure_code) == ("expired", "generic_decline")
        stripe_server.pay(payment.provider_id)
        hear(stripe_server)
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("paid", PACK)

    def test_of_other_systems_on_the_account_nothing_is_taken(self, stripe_server, buyer):
        mug = stripe_server.foreign_payment()
        stripe_server.dispute(mug["id"])
        stripe_server.refund_by_hand(mug["id"], 777)
        assert {event.outcome for event in hear(stripe_server)} == {"foreign"}
        assert PaymentEvent.objects.filter(payment__isnull=False).count() == 0
        assert balance(buyer) == 0

    def test_one_that_names_a_payment_of_another_installation_is_foreign(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        event = stripe_server.events[-1]
        event["data"]["object"]["metadata"]["backlot_payment"] = "0a0a0a0a-0000-4000-8000-000000000000"
        assert [one.outcome for one in hear(stripe_server, [event])] == ["foreign"]
        assert balance(buyer) == 0

    @pytest.mark.parametrize(
        ("field", "value"), [("amount_total", 999), ("currency", "eur"), ("id", "cs_another")]
    )
    def test_one_that_contradicts_our_record_grants_nothing(self, stripe_server, buyer, field, value):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        event = stripe_server.events[-1]
        event["data"]["object"][field] = value
        assert [one.outcome for one in hear(stripe_server, [event])] == ["rejected"]
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("pending", 0)
        assert OperationalEvent.objects.get().kind == "payment.contradiction"

    @pytest.mark.parametrize(("secret", "age_s"), [("whsec_of_somebody", 0), (None, 400)])
    def test_a_wrong_or_old_signature_is_refused(self, stripe_server, buyer, client, secret, age_s):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        for event in stripe_server.events:
            body, signature = signed(event, secret or "whsec_stand_in", age_s)
            answer = client.post(
                "/api/payments/stripe/webhook",
                body,
                content_type="application/json",
                headers={"stripe-signature": signature},
            )
            assert answer.status_code == 400
        assert (PaymentEvent.objects.count(), balance(buyer)) == (0, 0)

    def test_the_sandboxs_address_takes_nothing_where_stripe_is_in_use(self, stripe_server, buyer, client):
        answer = client.post("/api/payments/sandbox/webhook", "{}", content_type="application/json")
        assert answer.status_code == 409
        assert (
            client.post("/api/payments/nobody/webhook", "{}", content_type="application/json").status_code
            == 409
        )


class TestSweep:
    def test_a_payment_that_nobody_told_about_is_asked_about(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        assert sweep.run(timezone.now()) == 0  # too soon
        assert sweep.run(timezone.now() + LATER) == 1
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("paid", PACK)
        assert (payment.receipt_url != "", payment.invoice_url != "") == (True, True)
        assert {event.outcome for event in hear(stripe_server)} == {"no_change"}
        assert balance(buyer) == PACK
        as_at_commit()

    def test_it_asks_ever_more_rarely(self, stripe_server, buyer):
        began = begin(buyer).created_at
        asked = [second for second in range(0, 600, 10) if sweep.run(began + timedelta(seconds=second))]
        assert asked == [40, 70, 110, 170, 260, 400]

    def test_what_nobody_can_pay_any_more_is_closed(self, stripe_server, buyer):
        payment = begin(buyer)
        sweep.run(timezone.now() + timedelta(hours=4))
        payment.refresh_from_db()
        assert payment.state == "expired"

    def test_stripe_down_it_is_asked_again_later(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        stripe_server.fail_next = 1
        sweep.run(timezone.now() + LATER)
        assert balance(buyer) == 0
        sweep.run(timezone.now() + 3 * LATER)
        assert balance(buyer) == PACK


class TestApi:
    @pytest.fixture
    def call(self, client, buyer):
        def _call(method: str, path: str, body: dict | None = None, scopes=("billing",), **headers):
            _, raw = keys.create(buyer, "test", list(scopes), "test")
            return client.generic(
                method,
                path,
                "" if body is None else json.dumps(body),
                content_type="application/json",
                headers={"authorization": f"Bearer {raw}", **headers},
            )

        return _call

    def test_a_purchase_from_a_program(self, stripe_server, buyer, call):
        packs = call("GET", "/api/credit-packs").json()["data"]
        assert packs[0] == {
            "slug": "starter",
            "name": "1,000 credits",
            "credits_micro": PACK,
            "amount_cents": 1_000,
            "currency": "usd",
        }
        made = call("POST", "/api/purchases", {"pack": "starter"}, **{"idempotency-key": "k"})
        assert made.status_code == 201
        purchase = made.json()
        assert (purchase["state"], purchase["amount_cents"], purchase["receipt_url"]) == (
            "pending",
            1_000,
            None,
        )
        again = call("POST", "/api/purchases", {"pack": "starter"}, **{"idempotency-key": "k"})
        assert again.json() == purchase
        stripe_server.pay(Payment.objects.get().provider_id)
        hear(stripe_server)
        paid = call("GET", f"/api/purchases/{purchase['id']}").json()
        assert (paid["state"], paid["receipt_url"].startswith("https://receipt.example/")) == ("paid", True)
        listed = call("GET", "/api/purchases").json()
        assert ([one["id"] for one in listed["data"]], listed["has_more"]) == ([purchase["id"]], False)

    def test_pages_of_them(self, stripe_server, buyer, call):
        made = [str(begin(buyer).pk) for _ in range(3)][::-1]
        first = call("GET", "/api/purchases?limit=2").json()
        assert ([one["id"] for one in first["data"]], first["has_more"]) == (made[:2], True)
        second = call("GET", f"/api/purchases?limit=2&after={first['last_id']}").json()
        assert ([one["id"] for one in second["data"]], second["has_more"]) == (made[2:], False)

    @pytest.mark.parametrize("scopes", [("read",), ("read", "generate"), ("admin",)])
    def test_it_takes_the_scope_billing(self, stripe_server, buyer, call, scopes):
        for method, path, body in (
            ("POST", "/api/purchases", {"pack": "starter"}),
            ("GET", "/api/purchases", None),
        ):
            answer = call(method, path, body, scopes=scopes)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
        assert Payment.objects.count() == 0

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"pack": "gold"}, "pack"),
            ({}, "pack"),
            ({"pack": "starter", "coupon": "x"}, "coupon"),
            ({"pack": "starter", "success_url": "javascript:alert(1)"}, "success_url"),
        ],
    )
    def test_bad_input_is_named_and_buys_nothing(self, stripe_server, buyer, call, body, param):
        answer = call("POST", "/api/purchases", body)
        assert (answer.status_code // 100, answer.json()["error"]["param"]) == (4, param)
        assert Payment.objects.count() == 0

    def test_another_organizations_purchase_is_not_found(self, stripe_server, buyer, call):
        theirs = begin(new_organization())
        assert call("GET", f"/api/purchases/{theirs.pk}").status_code == 404
        assert call("GET", f"/api/purchases?after={theirs.pk}").json()["error"]["param"] == "after"

    def test_stripe_down_is_a_503_that_may_be_tried_again(self, stripe_server, buyer, call):
        stripe_server.fail_next = 1
        answer = call("POST", "/api/purchases", {"pack": "starter"})
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert answer.json()["error"]["code"] == "payment_provider_unavailable"


def test_another_intent_cannot_pay_it_twice(stripe_server, buyer):
    payment = bought(stripe_server, buyer)
    twice = {"id": "pi_twice", "object": "payment_intent", "status": "succeeded", "amount_received": 1_000}
    twice |= {"currency": "usd", "metadata": {"backlot_payment": str(payment.pk)}}
    event = {"id": "evt_twice", "type": "payment_intent.succeeded", "created": 1, "data": {"object": twice}}
    assert [one.outcome for one in hear(stripe_server, [event])] == ["rejected"]
    assert balance(buyer) == PACK
    assert OperationalEvent.objects.get().severity == "error"

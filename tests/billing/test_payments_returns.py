"""Refunds and disputes: never more than was bought and is unspent; what was spent and disputed is owed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import OperationalEvent
from billing.models import Notice, PaymentEvent, Refund, Transaction
from billing.payments import refunds, sweep
from tests.billing.conftest import CREDIT
from tests.billing.payments_stage import (
    PACK,
    as_at_commit,
    balance,
    begin,
    bought,
    buyer,
    hear,
    spend,
    stripe_server,
)

__all__ = ["buyer", "stripe_server"]

pytestmark = pytest.mark.django_db


def give_back(payment, credits: float, key: str = "r1") -> Refund:
    return refunds.refund(
        payment.pk,
        round(credits * CREDIT),
        reason="asked for by the customer",
        idempotency_key=key,
        requested_by=None,
        at=timezone.now(),
    )


def at_stripe(server) -> list[tuple[int, str]]:
    return [(one["amount"], one["status"]) for one in server.objects.values() if one["object"] == "refund"]


class TestRefunds:
    def test_unspent_credits_go_back_as_money(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        refund = give_back(payment, 400)
        payment.refresh_from_db()
        assert (refund.state, refund.amount_cents, payment.state) == ("succeeded", 400, "partly_refunded")
        assert (at_stripe(stripe_server), balance(buyer)) == ([(400, "succeeded")], 600 * CREDIT)
        assert {event.outcome for event in hear(stripe_server)} == {"no_change"}
        give_back(payment, 600, "r2")
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("refunded", 0)
        as_at_commit()

    def test_the_same_key_refunds_once(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        assert give_back(payment, 400) == give_back(payment, 400)
        assert (at_stripe(stripe_server), balance(buyer)) == ([(400, "succeeded")], 600 * CREDIT)

    @pytest.mark.parametrize(("spent", "asked"), [(700, 301), (0, 1_001), (0, 0), (0, -5)])
    def test_more_than_was_bought_and_is_unspent_is_refused(self, stripe_server, buyer, spent, asked):
        payment = bought(stripe_server, buyer)
        if spent:
            spend(buyer, spent)
        before = balance(buyer)
        with pytest.raises(ApiError, match="Nothing was refunded"):
            give_back(payment, asked)
        assert (at_stripe(stripe_server), balance(buyer)) == ([], before)

    def test_an_unpaid_payment_has_nothing_to_give_back(self, stripe_server, buyer):
        payment = begin(buyer)
        with pytest.raises(ApiError, match="only a paid one"):
            give_back(payment, 1)

    def test_stripe_down_it_is_pending_and_the_sweep_asks_again(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        stripe_server.fail_next = 1
        refund = give_back(payment, 400)
        assert (refund.state, at_stripe(stripe_server), balance(buyer)) == ("pending", [], 600 * CREDIT)
        sweep.run(timezone.now() + timedelta(minutes=5))
        refund.refresh_from_db()
        assert (refund.state, at_stripe(stripe_server)) == ("succeeded", [(400, "succeeded")])

    def test_a_lost_answer_is_one_refund(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        stripe_server.lose_next = 1
        assert give_back(payment, 400).state == "pending"
        sweep.run(timezone.now() + timedelta(minutes=5))
        assert (at_stripe(stripe_server), Refund.objects.get().state) == ([(400, "succeeded")], "succeeded")

    def test_what_stripe_refuses_returns_to_the_wallet(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        stripe_server.objects[payment.provider_payment_id]["refunding"] = "refused"
        refund = give_back(payment, 400)
        payment.refresh_from_db()
        assert (refund.state, payment.state, balance(buyer)) == ("failed", "paid", PACK)
        as_at_commit()

    def test_what_a_bank_sends_back_returns_to_the_wallet_once(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        refund = give_back(payment, 400)
        stripe_server.fail_refund(refund.provider_refund_id)
        failed = stripe_server.events[-1]
        hear(stripe_server)
        hear(stripe_server, [{**failed, "id": "evt_other"}])
        refund.refresh_from_db()
        payment.refresh_from_db()
        assert (refund.state, payment.state, balance(buyer)) == ("failed", "paid", PACK)
        as_at_commit()

    def test_one_made_at_stripe_takes_its_credits(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        stripe_server.refund_by_hand(payment.provider_payment_id, 250)
        hear(stripe_server)
        payment.refresh_from_db()
        assert (payment.state, balance(buyer), Refund.objects.get().amount_cents) == (
            "partly_refunded",
            750 * CREDIT,
            250,
        )
        as_at_commit()

    def test_one_made_at_stripe_of_spent_credits_is_told_to_operators(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        spend(buyer, 900)
        stripe_server.refund_by_hand(payment.provider_payment_id, 250)
        assert [event.outcome for event in hear(stripe_server)] == ["rejected"]
        assert (OperationalEvent.objects.get().kind, balance(buyer)) == (
            "payment.refund_unmatched",
            100 * CREDIT,
        )

    def test_one_told_before_its_payment_is_applied_after_it(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        stripe_server.refund_by_hand(stripe_server.objects[payment.provider_id]["payment_intent"], 250)
        hear(stripe_server, stripe_server.events[::-1])
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("partly_refunded", 750 * CREDIT)


class TestDisputes:
    def test_unspent_credits_are_taken_back(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        stripe_server.dispute(payment.provider_payment_id)
        hear(stripe_server)
        payment.refresh_from_db()
        assert (payment.state, balance(buyer), balance(buyer, "receivable")) == ("disputed", 0, 0)
        assert Notice.objects.get(organization=buyer).kind == "payment_disputed"
        as_at_commit()

    def test_what_was_spent_is_owed_and_paid_by_the_next_purchase(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        spend(buyer, 800)
        stripe_server.dispute(payment.provider_payment_id)
        hear(stripe_server)
        assert (balance(buyer), balance(buyer, "receivable")) == (0, -800 * CREDIT)
        bought(stripe_server, buyer)
        assert (balance(buyer), balance(buyer, "receivable")) == (200 * CREDIT, 0)
        as_at_commit()

    @pytest.mark.parametrize(("status", "state", "credits"), [("won", "paid", 1_000), ("lost", "lost", 0)])
    @pytest.mark.parametrize("backwards", [False, True])
    def test_decided_in_whatever_order_it_is_told(
        self, stripe_server, buyer, status, state, credits, backwards
    ):
        payment = bought(stripe_server, buyer)
        dispute = stripe_server.dispute(payment.provider_payment_id)
        stripe_server.close_dispute(dispute["id"], status)
        events = stripe_server.events[::-1] if backwards else stripe_server.events
        hear(stripe_server, events)
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == (state, credits * CREDIT)
        as_at_commit()

    def test_told_before_the_payment_stripe_is_asked_whose_it_is(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        stripe_server.dispute(stripe_server.objects[payment.provider_id]["payment_intent"])
        dispute = stripe_server.events.pop()
        hear(stripe_server, [dispute])
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("disputed", 0)
        assert Transaction.objects.filter(payment=payment, kind="purchase").count() == 1
        hear(stripe_server)
        payment.refresh_from_db()
        assert (payment.state, balance(buyer)) == ("disputed", 0)
        as_at_commit()

    def test_stripe_down_then_it_is_not_taken_and_comes_again(self, stripe_server, buyer):
        payment = begin(buyer)
        stripe_server.pay(payment.provider_id)
        stripe_server.dispute(stripe_server.objects[payment.provider_id]["payment_intent"])
        dispute = stripe_server.events.pop()
        stripe_server.fail_next = 1
        with pytest.raises(ApiError, match="payment_provider_unavailable"):
            hear(stripe_server, [dispute])
        assert not PaymentEvent.objects.filter(kind="charge.dispute.created").exists()
        assert [event.outcome for event in hear(stripe_server, [dispute])] == ["applied"]

    def test_an_inquiry_moves_nothing(self, stripe_server, buyer):
        payment = bought(stripe_server, buyer)
        stripe_server.dispute(payment.provider_payment_id)
        (event,) = stripe_server.events
        event["data"]["object"]["status"] = "warning_needs_response"
        assert [one.outcome for one in hear(stripe_server)] == ["no_change"]
        assert balance(buyer) == PACK

"""Automatic top-up: at a threshold and within a request that lacks credits, within the month's cap, one at a time."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import tiers
from accounts.errors import ApiError
from accounts.models import AuditEntry, User
from billing import access
from billing.models import AutoTopUp, Notice, Payment, PaymentCustomer
from billing.payments import sweep, top_up, top_up_settings
from billing.payments.top_up import charge, cover, top_up_low
from tests.billing.conftest import CREDIT, asking, promote
from tests.billing.payments_stage import (
    PACK,
    as_at_commit,
    balance,
    begin,
    bought,
    buyer,
    charges,
    hear,
    spend,
    stripe_server,
    top_ups,
    with_top_up,
)

__all__ = ["buyer", "stripe_server"]

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1, seconds=1)


class TestTheCard:
    def test_it_is_kept_where_the_payer_agreed(self, stripe_server, buyer):
        bought(stripe_server, buyer, keep_card=True)
        customer = PaymentCustomer.objects.get(organization=buyer)
        assert (customer.method_id, customer.method_label) == ("pm4242", "Visa ending in 4242")

    def test_and_not_where_they_did_not(self, stripe_server, buyer):
        bought(stripe_server, buyer)
        assert PaymentCustomer.objects.get(organization=buyer).method_id == ""

    def test_an_older_card_that_is_told_late_does_not_replace_a_newer_one(self, stripe_server, buyer):
        first = begin(buyer, keep_card=True)
        stripe_server.pay(first.provider_id)
        late = [event for event in stripe_server.events if event["type"] == "charge.succeeded"]
        stripe_server.events = []
        second = begin(buyer, keep_card=True)
        stripe_server.pay(second.provider_id, last4="1881")
        for event in stripe_server.events:
            if event["type"] == "charge.succeeded":
                event["data"]["object"]["created"] += 60
        hear(stripe_server)
        hear(stripe_server, late)
        assert PaymentCustomer.objects.get(organization=buyer).method_label == "Visa ending in 1881"

    def test_without_one_it_can_not_be_switched_on(self, stripe_server, buyer):
        user = User.objects.create_user("nobody@example.com")
        asked = {"pack_slug": "starter", "threshold_micro": 0, "monthly_cap_cents": 5_000}
        with pytest.raises(ApiError, match="needs a card"):
            top_up_settings.switch_on(buyer, **asked, user=user, now=timezone.now())
        assert not AutoTopUp.objects.exists()

    def test_forgotten_it_ends_top_ups(self, stripe_server, buyer):
        user = with_top_up(stripe_server, buyer).changed_by
        top_up_settings.forget_card(buyer, user=user, now=timezone.now())
        assert AutoTopUp.objects.get().state == "off"
        assert PaymentCustomer.objects.get(organization=buyer).method_id == ""
        assert "/v1/payment_methods/pm4242/detach" in [path for _, path, _ in stripe_server.calls]
        spend(buyer, 950)
        assert (top_up_low(timezone.now()), charges(stripe_server)) == (0, [])

    def test_changes_are_audited(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        entry = AuditEntry.objects.get(action="auto_top_up.change")
        assert (entry.before, entry.after["threshold_micro"]) == ({}, 100 * CREDIT)

    @pytest.mark.parametrize(
        "changes", [{"threshold_micro": -1}, {"monthly_cap_cents": 999}, {"pack_slug": "gold"}]
    )
    def test_figures_that_can_not_work_are_refused(self, stripe_server, buyer, changes):
        with pytest.raises(ApiError, match="invalid_value"):
            with_top_up(stripe_server, buyer, **changes)
        assert not AutoTopUp.objects.exists()


class TestAtTheThreshold:
    def test_a_pack_is_bought_once_credits_fall_below(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 900)  # 100 left: not below 100
        assert (top_up_low(timezone.now()), charges(stripe_server)) == (0, [])
        spend(buyer, 1)
        assert top_up_low(timezone.now()) == 1
        assert (balance(buyer), top_ups(buyer)) == (1_099 * CREDIT, ["paid"])
        assert top_up_low(timezone.now()) == 0
        payment = Payment.objects.get(purpose="auto_top_up")
        assert payment.receipt_url.startswith("https://receipt.example/")
        assert {event.outcome for event in hear(stripe_server)} == {"no_change"}
        notice = Notice.objects.get(organization=buyer, kind="top_up_done")
        assert notice.message == "Automatic top-up bought 1,000.00 credits for $10.00."
        as_at_commit()

    def test_the_months_cap_holds(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer, monthly_cap_cents=2_500)
        spend(buyer, 950)
        assert top_up_low(timezone.now()) == 1
        spend(buyer, 1_000)
        assert top_up_low(timezone.now()) == 1
        spend(buyer, 1_000)
        assert top_up_low(timezone.now()) == 0
        assert (top_ups(buyer), len(charges(stripe_server))) == (["paid", "paid"], 2)

    def test_off_nothing_is_bought(self, stripe_server, buyer):
        user = with_top_up(stripe_server, buyer).changed_by
        top_up_settings.switch_off(buyer, user=user, now=timezone.now())
        spend(buyer, 1_000)
        assert (top_up_low(timezone.now()), charges(stripe_server)) == (0, [])


class TestFailures:
    def test_after_three_in_a_row_it_pauses_with_a_notice(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.off_session = "declines"
        now = timezone.now()
        for number in range(6):
            top_up_low(now + number * HOUR)
            top_up_low(now + number * HOUR)  # at once again: it waits an hour
        assert (top_ups(buyer), balance(buyer)) == (["failed"] * 3, 50 * CREDIT)
        settings = AutoTopUp.objects.get()
        assert (settings.state, settings.last_failure) == ("paused", "Your card was declined.")
        messages = list(
            Notice.objects.filter(kind="top_up_failed").order_by("pk").values_list("message", flat=True)
        )
        assert len(messages) == 3
        assert "It is tried again in an hour" in messages[0]
        assert "After 3 failures in a row it is paused" in messages[2]

    def test_a_success_between_starts_the_count_again(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.off_session = "declines"
        now = timezone.now()
        top_up_low(now)
        top_up_low(now + HOUR)
        stripe_server.off_session = "succeeds"
        top_up_low(now + 2 * HOUR)
        assert (AutoTopUp.objects.get().consecutive_failures, balance(buyer)) == (0, 1_050 * CREDIT)

    def test_told_again_a_failure_counts_once(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.off_session = "authentication_required"
        top_up_low(timezone.now())
        events = list(stripe_server.events)
        hear(stripe_server)
        hear(stripe_server, events)
        settings = AutoTopUp.objects.get()
        assert (settings.consecutive_failures, settings.state) == (1, "on")
        assert settings.last_failure == "The bank asks its customer to confirm this payment."


class TestCrashes:
    def test_charged_but_the_answer_was_lost(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.lose_next = 1
        assert top_up_low(timezone.now()) == 0
        assert (top_ups(buyer), balance(buyer)) == (["created"], 50 * CREDIT)
        assert top_up_low(timezone.now()) == 0  # one at a time
        sweep.run(timezone.now() + timedelta(minutes=5))
        assert (top_ups(buyer), balance(buyer), len(charges(stripe_server))) == (["paid"], 1_050 * CREDIT, 1)

    def test_killed_before_the_provider_was_asked(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.fail_next = 1
        top_up_low(timezone.now())
        sweep.run(timezone.now() + timedelta(minutes=5))
        assert (top_ups(buyer), balance(buyer), len(charges(stripe_server))) == (["paid"], 1_050 * CREDIT, 1)

    def test_another_card_since_the_lost_answer_is_not_charged(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.lose_next = 1
        top_up_low(timezone.now())
        PaymentCustomer.objects.update(method_id="pm_another")
        sweep.run(timezone.now() + timedelta(minutes=5))
        assert (top_ups(buyer), balance(buyer)) == (["paid"], 1_050 * CREDIT)
        paid = [one for one in stripe_server.objects.values() if one["object"] == "charge"]
        assert [one["payment_method"] for one in paid] == ["pm4242", "pm4242"]

    def test_the_webhook_was_faster_than_the_answer(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        stripe_server.lose_next = 1
        top_up_low(timezone.now())
        hear(stripe_server)
        assert (top_ups(buyer), balance(buyer)) == (["paid"], 1_050 * CREDIT)
        charge(Payment.objects.get(purpose="auto_top_up"), again=True)
        assert balance(buyer) == 1_050 * CREDIT
        as_at_commit()


class TestWithinARequest:
    def test_what_it_lacks_is_bought(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        spend(buyer, 800)  # 200 left, above the threshold
        assert cover(buyer.pk, 700 * CREDIT, timezone.now()) is True
        assert balance(buyer) == 1_200 * CREDIT

    def test_refused_bought_and_decided_again(self, stripe_server, buyer):
        """What admission does, step by step: three transactions, and the provider between the first and the third."""
        with_top_up(stripe_server, buyer)
        spend(buyer, 950)
        now = timezone.now()
        terms = tiers.terms_for(buyer.pk, now)
        terms.allowance_day_micro = terms.allowance_month_micro = None
        terms.requests_per_minute, terms.max_open, terms.units_in_flight_micro = 10_000, 10_000, 10**12
        request = asking(buyer, 1_000)  # 300 credits; 50 are there
        with transaction.atomic():
            refused = access.decide_and_hold(request, terms, now)
        assert (refused.allowed, refused.code, refused.top_up_helps) == (
            False,
            "credit_balance_exhausted",
            True,
        )
        assert cover(buyer.pk, refused.quote_micro, now) is True
        with transaction.atomic():
            allowed = access.decide_and_hold(request, terms, timezone.now(), top_up_tried=True)
        assert (allowed.allowed, allowed.quote_micro) == (True, 300 * CREDIT)
        assert (balance(buyer), balance(buyer, "held")) == (750 * CREDIT, 300 * CREDIT)
        as_at_commit()

    def test_a_pack_that_is_not_enough_is_not_bought(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        assert cover(buyer.pk, 2_001 * CREDIT, timezone.now()) is False
        assert (charges(stripe_server), balance(buyer)) == ([], PACK)

    def test_credits_that_came_meanwhile_are_enough(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        assert cover(buyer.pk, 900 * CREDIT, timezone.now()) is True
        assert charges(stripe_server) == []

    def test_declined_it_stays_refused(self, stripe_server, buyer):
        with_top_up(stripe_server, buyer)
        stripe_server.off_session = "declines"
        assert cover(buyer.pk, 1_500 * CREDIT, timezone.now()) is False
        assert cover(buyer.pk, 1_500 * CREDIT, timezone.now()) is False
        assert (top_ups(buyer), balance(buyer)) == (["failed"], PACK)

    def test_not_switched_on_nothing_is_asked(self, stripe_server, buyer):
        bought(stripe_server, buyer, keep_card=True)
        assert cover(buyer.pk, 1_500 * CREDIT, timezone.now()) is False
        assert charges(stripe_server) == []


def test_the_threshold_counts_promotions_but_no_allowance(stripe_server, buyer):
    with_top_up(stripe_server, buyer)
    spend(buyer, 1_000)
    now = timezone.now()
    promote(buyer, 99, expires_at=now + timedelta(days=9), at=now)
    assert top_up.credits_micro(buyer.pk, now) == 99 * CREDIT
    assert top_up.credits_micro(buyer.pk, now + timedelta(days=10)) == 0
    assert top_up_low(now) == 1

"""Whatever order, however often: the events of one purchase always come to the same end."""

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Transaction
from tests.billing.conftest import CREDIT, new_organization
from tests.billing.payments_stage import as_at_commit, balance, begin, hear, stripe_server
from tests.billing.stand_in_stripe import StandIn

__all__ = ["stripe_server"]

pytestmark = pytest.mark.django_db


class _Undone(Exception):
    """Ends an example, and with it what it wrote."""


def story(server: StandIn, name: str, session_id: str) -> list[dict]:
    """The events of a purchase that went some way."""
    if name != "paid":
        server.decline(session_id)
    server.pay(session_id)
    intent_id = server.objects[session_id]["payment_intent"]
    if name == "refunded":
        server.refund_by_hand(intent_id, 300)
    if name in ("disputed", "won", "lost"):
        dispute = server.dispute(intent_id)
        if name != "disputed":
            server.close_dispute(dispute["id"], name)
    events, server.events = server.events, []
    return events


ENDS = {
    "paid": ("paid", 1_000),
    "declined first": ("paid", 1_000),
    "refunded": ("partly_refunded", 700),
    "disputed": ("disputed", 0),
    "won": ("paid", 1_000),
    "lost": ("lost", 0),
}


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.sampled_from(sorted(ENDS)), data=st.data())
def test_any_order_and_any_repetition_end_the_same(stripe_server, db, name, data):
    try:
        with transaction.atomic():
            organization = new_organization()
            payment = begin(organization)
            events = story(stripe_server, name, payment.provider_id)
            repeated = data.draw(st.lists(st.sampled_from(events), max_size=4), label="again")
            told = data.draw(st.permutations(events + repeated), label="order")
            for event in told:
                hear(stripe_server, [event])
                as_at_commit()
            payment.refresh_from_db()
            state, credits = ENDS[name]
            assert (payment.state, balance(organization)) == (state, credits * CREDIT)
            assert Transaction.objects.filter(payment=payment, kind="purchase").count() == 1
            raise _Undone
    except _Undone:
        pass

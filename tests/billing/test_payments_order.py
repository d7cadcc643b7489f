"""Whatever order, however often: the events of one purchase always come to the same end. And over HTTP, all at once."""

import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import PaymentEvent, Transaction
from billing.reconciliation import reconcile
from tests.billing.conftest import CREDIT, new_organization
from tests.billing.payments_stage import PACK, as_at_commit, balance, begin, hear, stripe_server
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
    max_examples=25,
    deadline=None,
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


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook_url(committed) -> Iterator[str]:
    """Backlot itself behind a real socket; the address of its webhook."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), _Threaded, _Quiet)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/payments/stripe/webhook"
    server.shutdown()
    server.server_close()


def test_over_http_all_at_once_a_payment_is_granted_once(stripe_server, webhook_url):
    organization = new_organization()
    payment = begin(organization)
    stripe_server.pay(payment.provider_id)
    stripe_server.foreign_payment()
    events, stripe_server.events = stripe_server.events, []
    statuses: list[int] = []

    def deliver(order: list[dict]) -> None:
        statuses.extend(stripe_server.send(webhook_url, order))

    threads = [threading.Thread(target=deliver, args=(order,)) for order in (events, events[::-1], events)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 3 * len(events)
    payment.refresh_from_db()
    assert (payment.state, balance(organization)) == ("paid", PACK)
    assert Transaction.objects.filter(payment=payment).count() == 1
    assert set(PaymentEvent.objects.values_list("deliveries", flat=True)) == {3}
    assert PaymentEvent.objects.filter(outcome="foreign").count() == 2
    assert not reconcile().drift


def test_over_http_a_wrong_secret_is_a_400(stripe_server, webhook_url):
    payment = begin(new_organization())
    stripe_server.pay(payment.provider_id)
    assert set(stripe_server.send(webhook_url, secret="whsec_of_somebody")) == {400}
    assert PaymentEvent.objects.count() == 0

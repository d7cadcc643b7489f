"""Many at once, over real connections: webhooks over HTTP, requests that run dry together, no lock over the network."""

import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections, transaction
from django.utils import timezone

from billing.models import PaymentEvent, Transaction, Wallet
from billing.payments import refunds
from billing.payments.top_up import cover
from billing.reconciliation import reconcile
from tests.billing.conftest import CREDIT, new_organization
from tests.billing.payments_stage import (
    PACK,
    balance,
    begin,
    bought,
    charges,
    stripe_server,
    top_ups,
    with_top_up,
)

__all__ = ["stripe_server"]


@pytest.mark.django_db
def test_there_is_a_database_of_the_tests_own():
    """What makes pytest-django make it also where this file runs alone."""
    assert not Wallet.objects.exists()


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


class TestNoLockOverTheNetwork:
    def test_a_refund_is_never_asked_for_inside_a_transaction(self, stripe_server, committed):
        payment = bought(stripe_server, new_organization())
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            refunds.refund(
                payment.pk,
                CREDIT,
                reason="asked for",
                idempotency_key="r",
                requested_by=None,
                at=timezone.now(),
            )
        assert "/v1/refunds" not in [path for _, path, _ in stripe_server.calls]

    def test_nor_a_top_up(self, stripe_server, committed):
        organization = new_organization()
        with_top_up(stripe_server, organization)
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            cover(organization.pk, 1_500 * CREDIT, timezone.now())
        assert charges(stripe_server) == []

    def test_many_at_once_buy_one_pack_and_hold_no_lock_meanwhile(self, stripe_server, committed):
        organization = new_organization()
        with_top_up(stripe_server, organization)
        stripe_server.slow_s = 4.0
        answers: list[bool] = []

        def ask() -> None:
            try:
                answers.append(cover(organization.pk, 1_500 * CREDIT, timezone.now()))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while not charges(stripe_server) and any(thread.is_alive() for thread in threads):
            threads[0].join(0.02)
        assert wallet_is_free(organization.pk)
        for thread in threads:
            thread.join(60)
        assert (answers, top_ups(organization)) == ([True] * 4, ["paid"])
        assert (len(charges(stripe_server)), balance(organization)) == (1, 2 * PACK)
        assert Transaction.objects.filter(organization=organization, kind="purchase").count() == 2


def wallet_is_free(organization_id: int) -> bool:
    """Whether its lock can be had while the provider takes its time."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
        return Wallet.objects.select_for_update().filter(pk=organization_id).exists()

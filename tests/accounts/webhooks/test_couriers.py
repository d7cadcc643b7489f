"""Several at once, and deaths: nothing is lost, nobody waits for a slow server, no endpoint is served twice."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, transaction

from accounts import organizations
from accounts.models import OutboxEvent, User, WebhookAttempt, WebhookDelivery, WebhookEvent
from accounts.webhooks import couriers, rounds
from generation import announcements
from tests.accounts.webhooks.receiver import Reply, receiving
from tests.accounts.webhooks.stage import endpoint, happens, lease_runs_out, serve_all
from tests.committed import committed

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def organization(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        owner = User.objects.create_user("owner@example.com")
        yield organizations.create("Acme Films", "plus", owner)
        wait_until(lambda: not couriers._busy)


def wait_until(holds, limit_s: float = 20.0) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < limit_s
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_kill_in_the_middle_loses_nothing_and_blocks_nobody(organization):
    arrived = threading.Event()
    with receiving(Reply(hang_s=30, before=arrived.set), Reply(200)) as receiver, receiving() as other:
        endpoint(organization, receiver.url)
        event = happens(organization)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.accounts.webhooks.dying_courier", connection.settings_dict["NAME"]],
            cwd=PROJECT,
        )
        try:
            assert arrived.wait(60)
        finally:
            process.kill()
            process.wait()
        assert [one.outcome for one in WebhookAttempt.objects.all()] == ["under_way"]
        assert serve_all() == 0  # its lease holds yet
        endpoint(organization, other.url, "video.failed")
        happens(organization, "video.failed")
        assert serve_all() == 1  # and nobody else waits for it
        lease_runs_out()
        assert serve_all() == 1
    assert receiver.ids() == [event.id] * 2
    tried = WebhookAttempt.objects.filter(delivery__event=event).order_by("number")
    assert [one.outcome for one in tried] == ["interrupted", "accepted"]
    assert WebhookDelivery.objects.get(event=event).tries == 1


def test_a_slow_endpoint_holds_up_nobody_else(organization):
    with receiving(Reply(hang_s=4)) as slow, receiving() as quick:
        endpoint(organization, slow.url, "video.failed")
        endpoint(organization, quick.url, "video.completed")
        for _ in range(8):
            happens(organization, "video.failed")
        for _ in range(20):
            happens(organization, "video.completed")
        assert couriers.run() == 2
        spent = wait_until(lambda: len(quick.got) == 20)
        assert couriers.run() == 0  # both are served
        wait_until(lambda: len(slow.got) >= 4)
        assert slow.busiest <= rounds.GANG
        assert WebhookDelivery.objects.filter(event__type="video.failed", state="delivered").count() == 0
    assert spent < 4


def test_a_process_serves_so_many_at_once_and_no_more(organization, monkeypatch):
    monkeypatch.setattr(couriers, "MOST_AT_ONCE", 2)
    with receiving(Reply(hang_s=0.5)) as receiver:
        for _ in range(3):
            endpoint(organization, receiver.url)
        happens(organization)
        assert (couriers.run(), couriers.run()) == (2, 0)
        wait_until(lambda: not couriers._busy)
        assert couriers.run() == 1
        wait_until(lambda: not couriers._busy)
    assert len(receiver.got) == 3
    assert receiver.busiest == 2


def test_two_processes_never_serve_the_same_endpoint(organization):
    with receiving() as receiver:
        for number in range(6):
            endpoint(organization, f"{receiver.url}/{number}")
        happens(organization)
        found: list[list[rounds.Holding]] = []
        gate = threading.Barrier(4)

        def claims() -> None:
            gate.wait()
            found.append(rounds.claim(10))
            connection.close()

        threads = [threading.Thread(target=claims) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    held = [holding.endpoint_id for some in found for holding in some]
    assert (len(held), len(set(held))) == (6, 6)


def test_whoever_waited_longest_is_served_first(organization):
    with receiving() as receiver:
        made = [endpoint(organization, f"{receiver.url}/{number}")[0].pk for number in range(3)]
        happens(organization)
        first = [holding.endpoint_id for holding in rounds.claim(1)]
        lease_runs_out()
        happens(organization)
        (second,), (third,) = rounds.claim(1), rounds.claim(1)
    assert {*first, second.endpoint_id, third.endpoint_id} == set(made)


def test_an_event_exists_if_and_only_if_its_transaction_committed(organization):
    from accounts import outbox

    class Undone(Exception):
        pass

    def told(key: str, undo: bool) -> None:
        with transaction.atomic():
            outbox.emit("credits.low", key, {"message": "low"}, organization.pk)
            if undo:
                raise Undone

    endpoint(organization, "http://127.0.0.1:9/", "credits.low")
    with pytest.raises(Undone):
        told("undone", undo=True)
    announcements.dispatch()
    assert WebhookEvent.objects.count() == 0
    told("done", undo=False)
    assert (announcements.dispatch(), announcements.dispatch()) == (1, 0)
    (event,) = WebhookEvent.objects.all()
    assert (event.source, event.type) == ("credits.low:done", "credits.low")
    # The process died after the handler, before the mark: the transaction of both is undone, and it is told once more.
    OutboxEvent.objects.update(dispatched_at=None, due_at="2020-01-01T00:00Z")
    announcements.dispatch()
    assert WebhookEvent.objects.get() == event
    assert WebhookDelivery.objects.count() == 1

"""The outbox: told with its transaction, handed on once, put off and given up when it fails."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import outbox
from accounts.models import OperationalEvent, OutboxEvent


def seen_by(log):
    return {"job.delivered": lambda event: log.append(event.key)}


def make_due(key):
    OutboxEvent.objects.filter(key=key).update(due_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_an_event_exists_if_and_only_if_its_transaction_committed():
    def rolled_back():
        with transaction.atomic():
            outbox.emit("job.delivered", "lost", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rolled_back()
    outbox.emit("job.delivered", "kept", {"job": 1})
    assert list(OutboxEvent.objects.values_list("key", "payload")) == [("kept", {"job": 1})]


@pytest.mark.django_db
def test_the_same_thing_told_twice_is_one_event(organization):
    assert outbox.emit("job.delivered", "a", {"n": 1}, organization.pk) is True
    assert outbox.emit("job.delivered", "a", {"n": 2}) is False
    assert outbox.emit("job.failed", "a", {"n": 3}) is True
    event = OutboxEvent.objects.get(topic="job.delivered")
    assert (event.payload, event.organization) == ({"n": 1}, organization)


@pytest.mark.django_db
def test_due_events_are_handed_on_in_order_and_once():
    for key in ["a", "b", "c"]:
        outbox.emit("job.delivered", key, {})
    outbox.emit("nobody.listens", "d", {})
    log = []
    assert outbox.dispatch(2, seen_by(log)) == 2
    assert outbox.dispatch(10, seen_by(log)) == 1
    assert outbox.dispatch(10, seen_by(log)) == 0
    assert log == ["a", "b", "c"]
    assert list(OutboxEvent.objects.filter(dispatched_at=None).values_list("key", flat=True)) == ["d"]


@pytest.mark.django_db
def test_a_failed_delivery_is_tried_later_and_its_writes_are_undone():
    outbox.emit("job.delivered", "a", {})

    def fails(event):
        outbox.emit("job.seen", event.key, {})
        raise outbox.NotDelivered("the pager said 503")

    assert outbox.dispatch(10, {"job.delivered": fails}) == 0
    event = OutboxEvent.objects.get()
    assert (event.attempts, event.dispatched_at, event.last_error) == (1, None, "the pager said 503")
    wait = event.due_at - timezone.now()
    assert timedelta(seconds=3) < wait <= timedelta(seconds=5)
    log = []
    assert outbox.dispatch(10, seen_by(log)) == 0
    make_due("a")
    assert outbox.dispatch(10, seen_by(log)) == 1
    assert log == ["a"]


@pytest.mark.django_db
def test_a_bug_in_a_handler_is_loud_and_holds_up_nobody():
    outbox.emit("job.delivered", "a", {})
    outbox.emit("job.delivered", "b", {})

    def breaks(event):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outbox.dispatch(10, {"job.delivered": breaks})
    log = []
    assert outbox.dispatch(10, seen_by(log)) == 1
    assert log == ["b"]


@pytest.mark.django_db
def test_after_the_last_attempt_an_event_is_parked_and_reported():
    outbox.emit("job.delivered", "a", {})
    OutboxEvent.objects.update(attempts=outbox.MOST_ATTEMPTS, last_error="gone")
    log = []
    assert outbox.dispatch(10, seen_by(log)) == 0
    assert log == []
    assert OutboxEvent.objects.get().parked_at is not None
    report = OperationalEvent.objects.get()
    assert (report.kind, report.severity) == ("outbox.parked", "error")
    assert report.detail == {"topic": "job.delivered", "key": "a", "attempts": 12, "error": "gone"}


def test_the_wait_doubles_up_to_an_hour():
    waits = [outbox.wait_after(attempts).total_seconds() for attempts in range(1, 13)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


@pytest.fixture
def committed(django_db_setup, django_db_blocker):
    """Rows that other connections see; cleaned up by name, because append-only tables can't be flushed."""
    with django_db_blocker.unblock():
        yield
        OutboxEvent.objects.filter(topic__startswith="race.").delete()
        connection.close()


def race(workers, work):
    """Run `work` in so many threads that start together; their exceptions reach the test."""
    barrier, failures = threading.Barrier(workers), []

    def run():
        barrier.wait()
        try:
            work()
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_two_dispatchers_hand_each_event_on_once(committed):
    for number in range(40):
        outbox.emit("race.job", str(number), {})

    def copy(event):  # a write of the handler's own, so that a second run would be seen by its unique key
        assert outbox.emit("race.copy", event.key, {}) is True

    race(2, lambda: outbox.dispatch(100, {"race.job": copy}))
    done = OutboxEvent.objects.filter(topic="race.job", dispatched_at__isnull=False, attempts=1)
    assert done.count() == 40
    assert OutboxEvent.objects.filter(topic="race.copy").count() == 40


def test_an_event_in_hand_is_left_alone_even_when_it_falls_due_again(committed):
    outbox.emit("race.slow", "a", {})
    in_hand, finish, log = threading.Event(), threading.Event(), []

    def slow(event):
        log.append(event.key)
        in_hand.set()
        assert finish.wait(20)

    def second():
        assert in_hand.wait(20)
        # The first one's rest is over, but it still works on the event: there is nothing for others.
        assert outbox.dispatch(5, {"race.slow": slow}) == 0
        finish.set()

    original, outbox.FIRST_WAIT = outbox.FIRST_WAIT, timedelta(0)
    try:
        jobs = iter([lambda: outbox.dispatch(1, {"race.slow": slow}), second])
        race(2, lambda: next(jobs)())
    finally:
        outbox.FIRST_WAIT = original
    assert log == ["a"]
    assert OutboxEvent.objects.get(topic="race.slow").dispatched_at is not None

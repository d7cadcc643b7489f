"""The outbox: what was told in a transaction is handed on after it committed, once within the database.

A handler runs in the transaction that marks the event as dispatched, so what it writes here happens once.
What it does outside (a mail, a page) may happen again after a crash between the two; `event.topic` and
`event.key` are stable, so that the other side can recognise it. A handler that can't deliver now raises
`NotDelivered`. Any other exception is a bug and reaches the caller; the event has by then been put off, so
that it holds up nobody.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now
from psycopg.types.json import Jsonb

from accounts import operations
from accounts.models import OutboxEvent

Handler = Callable[[OutboxEvent], None]

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
MOST_ATTEMPTS = 12


class NotDelivered(Exception):
    """The handler could not deliver now; the event is tried again later."""


def emit(topic: str, key: str, payload: dict, organization_id: int | None = None) -> bool:
    """Write an event in the caller's transaction. False where this topic and key were told before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_outboxevent (topic, key, payload, organization_id) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (topic, key) DO NOTHING",
            [topic, key, Jsonb(payload), organization_id],
        )
        return cursor.rowcount == 1


def wait_after(attempts: int) -> timedelta:
    """How long an event rests after so many attempts: 5 s, doubled each time, an hour at most."""
    return min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)


def dispatch(limit: int, handlers: Mapping[str, Handler]) -> int:
    """Hand at most `limit` due events, oldest first, to their topics' handlers; how many were delivered.

    Any number of dispatchers may run at once. Topics without a handler here are left alone.
    """
    delivered = 0
    for _ in range(limit):
        event = _take(list(handlers))
        if event is None:
            break
        delivered += _hand_on(event, handlers[event.topic])
    return delivered


def _take(topics: list[str]) -> OutboxEvent | None:
    """Count the attempt and put the event off before trying, so that a crash counts as an attempt too."""
    waiting = OutboxEvent.objects.filter(topic__in=topics, dispatched_at__isnull=True, parked_at__isnull=True)
    while True:
        with transaction.atomic():
            due = waiting.filter(due_at__lte=Now()).order_by("due_at", "id")
            event = due.select_for_update(skip_locked=True).first()
            if event is None:
                return None
            if event.attempts >= MOST_ATTEMPTS:
                _park(event)
                continue
            event.attempts += 1
            rest = Now() + wait_after(event.attempts)
            OutboxEvent.objects.filter(pk=event.pk).update(attempts=event.attempts, due_at=rest)
            return event


def _park(event: OutboxEvent) -> None:
    """Give up on an event and say so; it stays as a row for a person to look at."""
    OutboxEvent.objects.filter(pk=event.pk).update(parked_at=Now())
    detail = {"topic": event.topic, "key": event.key, "attempts": event.attempts, "error": event.last_error}
    operations.report("outbox.parked", "error", f"outbox_event:{event.pk}", detail)


def _hand_on(taken: OutboxEvent, handler: Handler) -> bool:
    """Run the handler and mark the event in one transaction; the row lock keeps other dispatchers off it."""
    mine = OutboxEvent.objects.filter(pk=taken.pk, attempts=taken.attempts, dispatched_at__isnull=True)
    try:
        with transaction.atomic():
            # Waits for a lock rather than skip it: another dispatcher that looked at this row a moment ago may hold
            # it to the end of its look, and skipping would put the event off for nothing.
            event = mine.select_for_update().first()
            if event is None:  # this process stood still so long that another one took the event over
                return False
            handler(event)
            mine.update(dispatched_at=Now(), last_error="")
    except NotDelivered as failure:
        mine.update(last_error=str(failure)[:2000])
        return False
    return True

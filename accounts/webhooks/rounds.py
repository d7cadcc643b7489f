"""Deliveries under way: who is served, one try after another, and what came of each.

An endpoint is served by one holder at a time, under a lease by the database's clock and a fence; whoever dies leaves a
lease that runs out, and everything that was not recorded is sent again under the same id. So a message arrives at least
once, and a slow endpoint holds up itself alone: the others are served beside it, whoever waited longest first.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import operations
from accounts.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from accounts.webhooks import endpoints, sending, signing
from accounts.webhooks.schedule import MOST_TRIES, wait_after
from accounts.webhooks.sending import Answer, Ways

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)  # well over what one gang of tries takes
GANG = 4  # tries of one endpoint at once; one alone while it fails
MOST_GANGS = 8  # of one holding; then others have their turn
MOST_ATTEMPTS = 40  # interrupted ones included: what kills its sender again and again is given up
GONE = 410

Outcome = WebhookAttempt.Outcome
State = WebhookDelivery.State

CLAIM = """
WITH next AS (
    SELECT e.id, e.lease_until IS NOT NULL AS lost
      FROM accounts_webhookendpoint e
     WHERE e.state = 'enabled'
       AND (e.lease_until IS NULL OR e.lease_until <= statement_timestamp())
       AND EXISTS (SELECT 1 FROM accounts_webhookdelivery d
                    WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.due_at <= statement_timestamp())
     ORDER BY e.served_at NULLS FIRST
     LIMIT %s
       FOR NO KEY UPDATE OF e SKIP LOCKED
)
UPDATE accounts_webhookendpoint e
   SET fence = e.fence + 1, served_at = statement_timestamp(), lease_until = statement_timestamp() + %s
  FROM next
 WHERE e.id = next.id
RETURNING e.id, e.fence, next.lost
"""


@dataclass(frozen=True)
class Holding:
    """The right to serve an endpoint; every write under it names the fence."""

    endpoint_id: int
    fence: int


@dataclass(frozen=True)
class Message:
    """One try, ready to be sent but for its time stamp."""

    attempt_id: int
    url: str
    event_id: str
    body: str
    secrets: tuple[str, ...]


def ways() -> Ways:
    """How this installation reaches the outside."""
    return Ways(settings.WEBHOOK_LOCAL_ADDRESSES, sending.resolve, sending.dial, sending.tls)


def claim(limit: int) -> list[Holding]:
    """Endpoints with something due, whoever waited longest first; none that somebody else serves."""
    if limit < 1:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM, [limit, LEASE])
        found = cursor.fetchall()
        for endpoint_id, fence, lost in found:
            if lost:
                detail = {"fence": fence}
                operations.report("webhook.lease_lost", "warning", f"webhook:{endpoint_id}", detail)
    return [Holding(endpoint_id, fence) for endpoint_id, fence, _ in found]


def serve(holding: Holding, outside: Ways, clock: Callable[[], float]) -> int:
    """Send what is due to one endpoint, a gang after the other; how many tries ended. `clock` stamps messages."""
    ended = 0
    for _ in range(MOST_GANGS):
        gang = take(holding)
        if not gang:
            break
        for message, answer in zip(gang, asyncio.run(_send(gang, outside, clock)), strict=True):
            ended += record(holding, message.attempt_id, answer, random.random())
    release(holding)
    return ended


async def _send(gang: list[Message], outside: Ways, clock: Callable[[], float]) -> list[Answer]:
    return await asyncio.gather(*(_one(message, outside, clock) for message in gang))


async def _one(message: Message, outside: Ways, clock: Callable[[], float]) -> Answer:
    if not message.secrets:
        return Answer("forbidden", detail="Not sent: its secret can't be read any more. Rotate it.")
    headers = signing.headers(message.secrets, message.event_id, int(clock()), message.body)
    return await sending.post(message.url, headers, message.body, outside)


def take(holding: Holding) -> list[Message]:
    """The next gang, each written as an attempt under way before it is made; none where the lease was lost."""
    with transaction.atomic():
        endpoint = _held(holding)
        if endpoint is None or endpoint.state != endpoints.State.ENABLED:
            return []
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(lease_until=Now() + LEASE)
        waiting = WebhookDelivery.objects.filter(endpoint=endpoint, state=State.PENDING, due_at__lte=Now())
        due = waiting.select_related("event").select_for_update(of=("self",), no_key=True)
        secrets = _secrets(endpoint)
        some = due.order_by("due_at", "id")[: 1 if endpoint.failures else GANG]
        return [message for one in some if (message := _begin(endpoint, one, secrets)) is not None]


def _begin(endpoint: WebhookEndpoint, delivery: WebhookDelivery, secrets: tuple[str, ...]) -> Message | None:
    WebhookAttempt.objects.filter(delivery=delivery, outcome=Outcome.UNDER_WAY).update(
        outcome=Outcome.INTERRUPTED,
        ended_at=Now(),
        detail="Whoever made this try was stopped. It may have arrived.",
    )
    if delivery.attempts >= MOST_ATTEMPTS:
        WebhookDelivery.objects.filter(pk=delivery.pk).update(state=State.FAILED, ended_at=Now())
        operations.report("webhook.given_up", "error", f"webhook_delivery:{delivery.pk}", {})
        return None
    number = delivery.attempts + 1
    WebhookDelivery.objects.filter(pk=delivery.pk).update(attempts=number)
    attempt = WebhookAttempt.objects.create(delivery=delivery, number=number)
    return Message(attempt.pk, endpoint.url, delivery.event_id, delivery.event.body, secrets)


def _secrets(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    try:
        return tuple(endpoints.living_secrets(endpoint))
    except signing.Unreadable:
        operations.report("webhook.secret_unreadable", "error", f"webhook:{endpoint.pk}", {})
        return ()


def record(holding: Holding, attempt_id: int, answer: Answer, chance: float) -> bool:
    """What came of a try, with all that follows; False where the lease was lost, whose next holder sends it again."""
    with transaction.atomic():
        endpoint = _held(holding)
        if endpoint is None:
            logger.warning(
                "the lease of webhook %s was lost before its answer was recorded", holding.endpoint_id
            )
            return False
        attempt = WebhookAttempt.objects.select_related("delivery").get(pk=attempt_id)
        WebhookAttempt.objects.filter(pk=attempt_id).update(
            outcome=answer.outcome,
            status=answer.status,
            snippet=answer.snippet,
            detail=answer.detail,
            duration_ms=answer.duration_ms,
            ended_at=Now(),
        )
        if attempt.delivery.state != State.PENDING:  # removed meanwhile
            return True
        if answer.outcome == Outcome.ACCEPTED:
            _accepted(endpoint, attempt.delivery, answer)
        else:
            _not_accepted(endpoint, attempt.delivery, answer, chance)
    return True


def release(holding: Holding) -> None:
    """Let others serve it."""
    mine = WebhookEndpoint.objects.filter(pk=holding.endpoint_id, fence=holding.fence)
    mine.update(lease_until=None, served_at=Now())


def _held(holding: Holding) -> WebhookEndpoint | None:
    mine = WebhookEndpoint.objects.filter(pk=holding.endpoint_id, fence=holding.fence)
    return mine.select_for_update(no_key=True).first()


def _accepted(endpoint: WebhookEndpoint, delivery: WebhookDelivery, answer: Answer) -> None:
    _end(delivery, State.DELIVERED, answer)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failures=0, accepted_at=Now())


def _not_accepted(
    endpoint: WebhookEndpoint, delivery: WebhookDelivery, answer: Answer, chance: float
) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failures=F("failures") + 1)
    wait = wait_after(delivery.tries + 1, chance)
    if answer.status == GONE or wait is None:
        _end(delivery, State.FAILED, answer)
    else:
        same = WebhookDelivery.objects.filter(pk=delivery.pk)
        same.update(tries=F("tries") + 1, due_at=Now() + wait, last_status=answer.status)
    if endpoint.state != endpoints.State.ENABLED:
        return
    if answer.status == GONE:
        told = f"{endpoint.url} answered 410 Gone, so the webhook was switched off."
        endpoints.switch_off_by_itself(endpoint, endpoints.Cause.GONE, told)
    elif wait is None and _nothing_since(endpoint, delivery):
        told = f"{endpoint.url} has accepted nothing for three days, so the webhook was switched off."
        endpoints.switch_off_by_itself(endpoint, endpoints.Cause.FAILING, told)


def _nothing_since(endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> bool:
    """Whether nothing was accepted since this delivery began, which had all its tries over three days."""
    through = WebhookAttempt.objects.filter(delivery=delivery).exclude(outcome=Outcome.INTERRUPTED)
    if endpoint.failures + 1 < MOST_TRIES or through.count() < MOST_TRIES:
        return False  # it was resent by hand, or the endpoint has been switched on again since
    return endpoint.accepted_at is None or endpoint.accepted_at < delivery.created_at


def _end(delivery: WebhookDelivery, state: str, answer: Answer) -> None:
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=state, tries=F("tries") + 1, ended_at=Now(), last_status=answer.status
    )

"""What happened becomes an event and its deliveries: one per endpoint that listens, in the caller's transaction.

The body is written once and kept as text, so that every try, of every endpoint, sends the same bytes under the same id.
"""

import json
import uuid
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from accounts.errors import ApiError
from accounts.models import OutboxEvent, WebhookDelivery, WebhookEndpoint, WebhookEvent
from accounts.webhooks import kinds
from accounts.webhooks.endpoints import State
from accounts.webhooks.schedule import MOST_TRIES


def publish(told: OutboxEvent, kind: str, data: dict) -> WebhookEvent | None:
    """What an outbox event tells, to every endpoint that listens; None where nobody does.

    Belongs into the transaction that marks the outbox event, as its handlers do; told twice, it is one event.
    """
    if told.organization_id is None:
        return None
    listening = WebhookEndpoint.objects.filter(
        organization_id=told.organization_id, state=State.ENABLED, event_types__contains=[kind]
    )
    found = list(listening)
    if not found:
        return None
    event = _event(told.organization_id, kind, data, f"{told.topic}:{told.key}", told.created_at)
    deliveries = [WebhookDelivery(endpoint=endpoint, event=event) for endpoint in found]
    WebhookDelivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    return event


def test(endpoint: WebhookEndpoint, now: datetime) -> WebhookDelivery:
    """A test event to this endpoint alone, whatever it chose. Raises ApiError not_ready where it is off."""
    _require_on(endpoint)
    data = {"webhook": endpoint.pk, "message": "This is a test. Nothing has happened."}
    with transaction.atomic():
        event = _event(endpoint.organization_id, kinds.TEST, data, f"test:{uuid.uuid4().hex}", now)
        return WebhookDelivery.objects.create(endpoint=endpoint, event=event)


def resend(endpoint: WebhookEndpoint, delivery_id: int) -> WebhookDelivery:
    """Once more, under the same id: a delivery that has ended is tried once, one that waits is tried now."""
    _require_on(endpoint)
    with transaction.atomic():
        found = find(endpoint, delivery_id)
        delivery = WebhookDelivery.objects.select_for_update(no_key=True).get(pk=found.pk)
        if delivery.state != WebhookDelivery.State.PENDING:
            delivery.tries = MOST_TRIES - 1
        delivery.state, delivery.ended_at = WebhookDelivery.State.PENDING, None
        delivery.due_at = Now()
        delivery.save(update_fields=["state", "ended_at", "due_at", "tries"])
    delivery.refresh_from_db()
    return delivery


def find(endpoint: WebhookEndpoint, delivery_id: int) -> WebhookDelivery:
    """A delivery of this endpoint with its event. Raises ApiError not_found."""
    found = WebhookDelivery.objects.filter(endpoint=endpoint, pk=delivery_id).select_related("event").first()
    if found is None:
        raise ApiError("not_found", "There is no such delivery of this webhook.", param="delivery")
    return found


def _event(organization_id: int, kind: str, data: dict, source: str, at: datetime) -> WebhookEvent:
    name = f"evt_{uuid.uuid4().hex}"
    told = {"id": name, "object": "event", "type": kind, "created_at": int(at.timestamp()), "data": data}
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    event, _ = WebhookEvent.objects.get_or_create(
        organization_id=organization_id, source=source, defaults={"id": name, "type": kind, "body": body}
    )
    return event


def _require_on(endpoint: WebhookEndpoint) -> None:
    if endpoint.state != State.ENABLED:
        raise ApiError("not_ready", "This webhook is switched off. Switch it on first.")

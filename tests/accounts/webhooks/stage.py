"""Endpoints and events for these tests, and a round of deliveries that ends when there is nothing due."""

import json
import time
import uuid
from datetime import timedelta

from django.db.models.functions import Now

from accounts import outbox
from accounts.models import Organization, OutboxEvent, WebhookDelivery, WebhookEndpoint, WebhookEvent
from accounts.webhooks import endpoints, events, rounds
from accounts.webhooks.endpoints import Wanted
from accounts.webhooks.sending import Ways
from tests.accounts.webhooks.receiver import outside

KIND = "video.completed"


def endpoint(organization: Organization, url: str, *types: str) -> tuple[WebhookEndpoint, str]:
    """An endpoint that listens to `types`, and its secret."""
    wanted = Wanted(url=url, description="for this test", event_types=types or (KIND,))
    return endpoints.create(organization, wanted, "test")


def happens(organization: Organization, kind: str = KIND, **data) -> WebhookEvent | None:
    """Something happens: from the outbox to the deliveries."""
    key = uuid.uuid4().hex
    outbox.emit(kind, key, data, organization.pk)
    return events.publish(OutboxEvent.objects.get(topic=kind, key=key), kind, data or {"id": f"video_{key}"})


def serve_all(ways: Ways | None = None) -> int:
    """Everything that is due now; how many tries ended."""
    ended = 0
    while found := rounds.claim(10):
        ended += sum(rounds.serve(holding, ways or outside(local=True), time.time) for holding in found)
    return ended


def make_due() -> None:
    """As if every wait were over."""
    WebhookDelivery.objects.filter(state="pending").update(due_at=Now())


def lease_runs_out() -> None:
    WebhookEndpoint.objects.exclude(lease_until=None).update(lease_until=Now() - timedelta(seconds=1))


def body_of(sent: tuple[str, dict, bytes]) -> dict:
    return json.loads(sent[2])

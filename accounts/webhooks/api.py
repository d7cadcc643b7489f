"""/api/webhooks: the organization's webhooks and what became of their deliveries, for who holds the scope admin."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from accounts.api.once import idempotency_key, once
from accounts.api.paging import After, Limit, page
from accounts.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from accounts.webhooks import endpoints, events
from accounts.webhooks.endpoints import Wanted
from accounts.webhooks.kinds import KINDS

router = Router(tags=["webhooks"])


class WebhookIn(Schema):
    """Where to tell what. The address begins with https:// and leads out into the public Internet."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(max_length=2000, description="Where messages are posted to.")
    event_types: list[str] = Field(min_length=1, max_length=len(KINDS), description="What is told.")
    description: str = Field("", max_length=endpoints.MOST_DESCRIPTION, description="For people.")


class WebhookChangeIn(Schema):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str | None = Field(None, max_length=2000)
    event_types: list[str] | None = Field(None, min_length=1, max_length=len(KINDS))
    description: str | None = Field(None, max_length=endpoints.MOST_DESCRIPTION)
    enabled: bool | None = None


class RotateSecretIn(Schema):
    """How long messages are signed with the old secret beside the new one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    hours: int = Field(24, ge=0, le=endpoints.MOST_HOURS)


class WebhookOut(Schema):
    """A webhook without its secret. `disabled_because` is owner, gone (it answered 410) or failing; null while on."""

    id: int
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    url: str
    description: str
    event_types: list[str]
    enabled: bool
    disabled_because: str | None
    disabled_at: datetime | None
    accepted_at: datetime | None
    created_at: datetime


class NewSecretOut(WebhookOut):
    """`signing_secret` is told this once: null where an Idempotency-Key is repeated."""

    signing_secret: str | None


class WebhooksOut(Schema):
    """Newest first; the next page is asked for with `after=last_id`."""

    object: Literal["list"] = "list"
    data: list[WebhookOut]
    has_more: bool
    last_id: int | None


class EventTypesOut(Schema):
    object: Literal["list"] = "list"
    data: list[str]


class DeliveryOut(Schema):
    """One event on its way to one webhook. `event` is the webhook-id, the same on every try."""

    id: int
    object: Literal["webhook_delivery"] = "webhook_delivery"
    event: str
    type: str
    state: Literal["pending", "delivered", "failed"]
    tries: int
    last_status: int | None
    next_try_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class AttemptOut(Schema):
    """One try: `snippet` is the beginning of the answer's body, `detail` why there was none."""

    number: int
    outcome: Literal["under_way", "accepted", "declined", "unreachable", "forbidden", "interrupted"]
    started_at: datetime
    duration_ms: int | None
    status: int | None
    snippet: str
    detail: str


class DeliveryWithAttemptsOut(DeliveryOut):
    """`body` is what is sent, as it is signed."""

    body: str
    attempts: list[AttemptOut]


class DeliveriesOut(Schema):
    """Newest first; the next page is asked for with `after=last_id`."""

    object: Literal["list"] = "list"
    data: list[DeliveryOut]
    has_more: bool
    last_id: int | None


class RemovedOut(Schema):
    id: int
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: bool = True


@router.get("/webhooks", response=WebhooksOut, summary="List webhooks")
def list_webhooks(request: HttpRequest, limit: Limit = 20, after: After = None):
    """The organization's webhooks."""
    found = endpoints.of(request.caller.organization).order_by("-id")
    return page(found.filter(pk__lt=after) if after is not None else found, limit, webhook_out)


@router.get("/webhooks/event-types", response=EventTypesOut, summary="List what webhooks can be told")
def list_event_types(request: HttpRequest):
    """Every type of event, whether anybody listens to it or not."""
    return {"data": list(KINDS)}


@router.post("/webhooks", response={201: NewSecretOut}, summary="Make a webhook")
def create_webhook(request: HttpRequest, asked: WebhookIn):
    """The signing secret is in this answer and nowhere else."""
    caller = request.caller

    def make() -> dict[str, Any]:
        made, secret = endpoints.create(caller.organization, _wanted(asked), caller.actor)
        return {**webhook_out(made), "signing_secret": secret}

    key = idempotency_key(request)
    answer = once(caller.organization, "webhooks", key, asked.dict(), make, secrets=["signing_secret"])
    return Status(201, answer)


@router.get("/webhooks/{webhook_id}", response=WebhookOut, summary="Read a webhook")
def read_webhook(request: HttpRequest, webhook_id: int):
    """One webhook."""
    return webhook_out(endpoints.find(request.caller.organization, webhook_id))


@router.patch("/webhooks/{webhook_id}", response=WebhookOut, summary="Change a webhook")
def change_webhook(request: HttpRequest, webhook_id: int, asked: WebhookChangeIn):
    """Another address or choice of events, from the next try on; on or off. On again, it is told what has waited."""
    caller = request.caller
    changed = endpoints.change(caller.organization, webhook_id, _wanted(asked), caller.actor)
    if asked.enabled is not None:
        changed = endpoints.switch(caller.organization, webhook_id, asked.enabled, caller.actor)
    return webhook_out(changed)


@router.delete("/webhooks/{webhook_id}", response=RemovedOut, summary="Remove a webhook")
def remove_webhook(request: HttpRequest, webhook_id: int):
    """What waits for it is never sent."""
    endpoints.remove(request.caller.organization, webhook_id, request.caller.actor)
    return {"id": webhook_id}


@router.post(
    "/webhooks/{webhook_id}/rotate", response={201: NewSecretOut}, summary="Rotate a webhook's secret"
)
def rotate_secret(request: HttpRequest, webhook_id: int, asked: RotateSecretIn):
    """A new signing secret, told this once; messages are signed with the old one as well for `hours`."""
    caller = request.caller

    def make() -> dict[str, Any]:
        changed, secret = endpoints.rotate(caller.organization, webhook_id, asked.hours, caller.actor)
        return {**webhook_out(changed), "signing_secret": secret}

    endpoints.find(caller.organization, webhook_id)
    key, fields = idempotency_key(request), {**asked.dict(), "webhook_id": webhook_id}
    answer = once(caller.organization, "webhooks.rotate", key, fields, make, secrets=["signing_secret"])
    return Status(201, answer)


@router.post("/webhooks/{webhook_id}/test", response={201: DeliveryOut}, summary="Send a test event")
def test_webhook(request: HttpRequest, webhook_id: int):
    """An event of the type webhook.test, to this webhook alone. Its delivery says what came of it."""
    caller = request.caller
    endpoint = endpoints.find(caller.organization, webhook_id)

    def make() -> dict[str, Any]:
        return delivery_out(events.find(endpoint, events.test(endpoint, timezone.now()).pk))

    key, fields = idempotency_key(request), {"webhook_id": webhook_id}
    return Status(201, once(caller.organization, "webhooks.test", key, fields, make))


@router.get("/webhooks/{webhook_id}/deliveries", response=DeliveriesOut, summary="List deliveries")
def list_deliveries(
    request: HttpRequest,
    webhook_id: int,
    limit: Limit = 20,
    after: After = None,
    state: Literal["pending", "delivered", "failed"] | None = None,
):
    """Of the last 30 days."""
    endpoint = endpoints.find(request.caller.organization, webhook_id)
    found = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event").order_by("-id")
    if after is not None:
        found = found.filter(pk__lt=after)
    if state is not None:
        found = found.filter(state=state)
    return page(found, limit, delivery_out)


@router.get(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}",
    response=DeliveryWithAttemptsOut,
    summary="Read a delivery with its tries",
)
def read_delivery(request: HttpRequest, webhook_id: int, delivery_id: int):
    """What was sent, and what came of every try."""
    delivery = events.find(endpoints.find(request.caller.organization, webhook_id), delivery_id)
    tried = [_attempt_out(one) for one in delivery.tried.order_by("number")]
    return {**delivery_out(delivery), "body": delivery.event.body, "attempts": tried}


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/resend",
    response=DeliveryOut,
    summary="Send a delivery again",
)
def resend_delivery(request: HttpRequest, webhook_id: int, delivery_id: int):
    """Under the same webhook-id, now: one that has ended is tried once more, one that waits goes on from there."""
    endpoint = endpoints.find(request.caller.organization, webhook_id)
    events.resend(endpoint, delivery_id)
    return delivery_out(events.find(endpoint, delivery_id))


def webhook_out(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """The public form of a webhook."""
    same = ("id", "url", "description", "event_types", "disabled_at", "accepted_at", "created_at")
    return {
        **{name: getattr(endpoint, name) for name in same},
        "object": "webhook_endpoint",
        "enabled": endpoint.state == endpoints.State.ENABLED,
        "disabled_because": endpoint.disabled_because or None,
    }


def delivery_out(delivery: WebhookDelivery) -> dict[str, Any]:
    """The public form of a delivery, whose event was read with it."""
    same = ("id", "state", "tries", "last_status", "created_at", "ended_at")
    waits = delivery.state == WebhookDelivery.State.PENDING
    return {
        **{name: getattr(delivery, name) for name in same},
        "object": "webhook_delivery",
        "event": delivery.event_id,
        "type": delivery.event.type,
        "next_try_at": delivery.due_at if waits else None,
    }


def _attempt_out(attempt: WebhookAttempt) -> dict[str, Any]:
    same = ("number", "outcome", "started_at", "duration_ms", "status", "snippet", "detail")
    return {name: getattr(attempt, name) for name in same}


def _wanted(asked: WebhookIn | WebhookChangeIn) -> Wanted:
    types = None if asked.event_types is None else tuple(asked.event_types)
    return Wanted(asked.url, asked.description, types)

"""Endpoints of an organization: made, changed, rotated, switched, removed; each with its record in the audit log."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, outbox
from accounts.errors import ApiError
from accounts.models import Organization, User, WebhookDelivery, WebhookEndpoint, WebhookSecret
from accounts.webhooks import addresses, signing
from accounts.webhooks.kinds import KINDS

MOST_ENDPOINTS = 10  # of an organization
MOST_DESCRIPTION = 200
MOST_HOURS = 168  # for how long a rotated secret may sign beside the new one
KEPT_WAITING = timedelta(days=3)
DISABLED_TOPIC = "webhook.switched_off"
SUFFIX = " Nothing was changed."

State, Cause = WebhookEndpoint.State, WebhookEndpoint.Cause


@dataclass(frozen=True)
class Wanted:
    """What a customer wants an endpoint to be; None leaves a field as it is."""

    url: str | None = None
    description: str | None = None
    event_types: tuple[str, ...] | None = None


def create(organization: Organization, wanted: Wanted, by: User | str) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret, which can't be had again. Raises ApiError invalid_value."""
    fields = _checked(wanted, new=True)
    with transaction.atomic():
        # Two that are made at once are counted one after the other.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if of(organization).count() >= MOST_ENDPOINTS:
            message = f"An organization may have {MOST_ENDPOINTS} webhooks. Remove one first."
            raise ApiError("invalid_value", message + SUFFIX, param="url")
        made = WebhookEndpoint.objects.create(
            organization=organization, created_by=by if isinstance(by, User) else None, **fields
        )
        secret = _new_secret(made)
        _record(made, by, "webhook.create", "a new webhook was asked for", None, _shown(made))
    made.refresh_from_db()
    return made, secret


def of(organization: Organization):
    """The organization's endpoints that are there, oldest first."""
    found = WebhookEndpoint.objects.filter(organization=organization, removed_at__isnull=True)
    return found.order_by("id")


def find(organization: Organization, endpoint_id: int, *, lock: bool = False) -> WebhookEndpoint:
    """One of the organization's endpoints; another's is simply not found."""
    found = of(organization).filter(pk=endpoint_id)
    found = (found.select_for_update(no_key=True) if lock else found).first()
    if found is None:
        raise ApiError("not_found", "There is no such webhook in this organization.", param="webhook")
    return found


def change(organization: Organization, endpoint_id: int, wanted: Wanted, by: User | str) -> WebhookEndpoint:
    """Another address, description or choice of events, from the next try on."""
    fields = _checked(wanted, new=False)
    with transaction.atomic():
        endpoint = find(organization, endpoint_id, lock=True)
        before = _shown(endpoint)
        for name, value in fields.items():
            setattr(endpoint, name, value)
        if _shown(endpoint) != before:
            endpoint.save(update_fields=list(fields))
            _record(endpoint, by, "webhook.change", "changed by its owner", before, _shown(endpoint))
    return endpoint


def rotate(
    organization: Organization, endpoint_id: int, hours: int, by: User | str
) -> tuple[WebhookEndpoint, str]:
    """A new secret; messages are signed with both for `hours` (0 to 168), and then with the new one alone."""
    if not 0 <= hours <= MOST_HOURS:
        raise ApiError(
            "invalid_value", f"Let the old secret sign for 0 to {MOST_HOURS} hours.", param="hours"
        )
    with transaction.atomic():
        endpoint = find(organization, endpoint_id, lock=True)
        old = endpoint.secrets.filter(ends_at__isnull=True)
        old.update(ends_at=Now() + timedelta(hours=hours))
        secret = _new_secret(endpoint)
        after = {"secret": secret[-4:], "old_signs_for_hours": hours}
        _record(endpoint, by, "webhook.rotate", "the secret was rotated", None, after)
    return endpoint, secret


def switch(organization: Organization, endpoint_id: int, on: bool, by: User | str) -> WebhookEndpoint:
    """On or off. Switched on again, it is told what has waited for it for three days at most."""
    with transaction.atomic():
        endpoint = find(organization, endpoint_id, lock=True)
        if on == (endpoint.state == State.ENABLED):
            return endpoint
        before = _shown(endpoint)
        if on:
            _switch_on(endpoint)
        else:
            _switch_off(endpoint, Cause.OWNER)
        _record(endpoint, by, "webhook.switch", "switched by its owner", before, _shown(endpoint))
    return endpoint


def remove(organization: Organization, endpoint_id: int, by: User | str) -> None:
    """Take an endpoint away with its secrets; what waits for it is never sent."""
    with transaction.atomic():
        endpoint = find(organization, endpoint_id, lock=True)
        before = _shown(endpoint)
        if endpoint.state == State.ENABLED:
            _switch_off(endpoint, Cause.OWNER)
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(removed_at=Now())
        endpoint.secrets.all().delete()
        _end_waiting(endpoint.deliveries)
        _record(endpoint, by, "webhook.remove", "removed by its owner", before, None)


def switch_off_by_itself(endpoint: WebhookEndpoint, cause: str, told: str) -> None:
    """Nobody listens there any more: off, recorded, and the organization told. In the caller's transaction."""
    before = _shown(endpoint)
    _switch_off(endpoint, cause)
    _record(endpoint, "webhooks", "webhook.switch", told, before, _shown(endpoint))
    payload = {"webhook": endpoint.pk, "url": endpoint.url, "because": cause, "message": told}
    outbox.emit(DISABLED_TOPIC, f"{endpoint.pk}:{secrets.token_hex(8)}", payload, endpoint.organization_id)


def living_secrets(endpoint: WebhookEndpoint) -> list[str]:
    """What messages are signed with now, the newest first. Raises signing.Unreadable."""
    found = endpoint.secrets.exclude(ends_at__lte=Now()).order_by("-created_at", "-id")
    return [signing.unseal(sealed) for sealed in found.values_list("sealed", flat=True)]


def _checked(wanted: Wanted, *, new: bool) -> dict:
    fields: dict = {}
    if wanted.url is not None or new:
        fields["url"] = _url(wanted.url or "")
    if wanted.event_types is not None or new:
        fields["event_types"] = _types(wanted.event_types or ())
    if wanted.description is not None:
        fields["description"] = _description(wanted.description)
    return fields


def _url(text: str) -> str:
    text = text.strip()
    try:
        addresses.read(text, local=settings.WEBHOOK_LOCAL_ADDRESSES)
    except addresses.Refused as refusal:
        raise ApiError(
            "invalid_value", f"This address can't be used: {refusal}.{SUFFIX}", param="url"
        ) from refusal
    return text


def _types(wanted: Iterable[str]) -> list[str]:
    unknown = [name for name in wanted if name not in KINDS]
    if unknown or not wanted:
        message = f"Choose at least one event out of {', '.join(KINDS)}.{SUFFIX}"
        raise ApiError("invalid_value", message, param="event_types")
    return [name for name in KINDS if name in set(wanted)]


def _description(text: str) -> str:
    text = text.strip()
    if len(text) > MOST_DESCRIPTION or "\x00" in text:
        message = f"Describe it in {MOST_DESCRIPTION} characters at most.{SUFFIX}"
        raise ApiError("invalid_value", message, param="description")
    return text


def _new_secret(endpoint: WebhookEndpoint) -> str:
    secret = signing.new_secret()
    WebhookSecret.objects.create(endpoint=endpoint, sealed=signing.seal(secret), last_four=secret[-4:])
    return secret


def _switch_on(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        state=State.ENABLED, disabled_because="", disabled_at=None, failures=0
    )
    _end_waiting(endpoint.deliveries.filter(created_at__lt=Now() - KEPT_WAITING))
    endpoint.refresh_from_db()


def _switch_off(endpoint: WebhookEndpoint, cause: str) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        state=State.DISABLED, disabled_because=cause, disabled_at=Now()
    )
    endpoint.refresh_from_db()


def _end_waiting(deliveries) -> None:
    waiting = deliveries.filter(state=WebhookDelivery.State.PENDING)
    waiting.update(state=WebhookDelivery.State.FAILED, ended_at=Now())


def _shown(endpoint: WebhookEndpoint) -> dict:
    same = ("url", "description", "event_types", "state", "disabled_because")
    return {name: getattr(endpoint, name) for name in same}


def _record(
    endpoint: WebhookEndpoint,
    by: User | str,
    action: str,
    reason: str,
    before: dict | None,
    after: dict | None,
) -> None:
    audit.record(
        actor=by,
        action=action,
        target=f"webhook:{endpoint.pk}",
        reason=reason,
        before=before,
        after=after,
        organization=endpoint.organization,
    )

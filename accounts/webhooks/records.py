"""Rows of webhooks: endpoints with their secrets, events, deliveries (an event to an endpoint) and every try of one."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class WebhookEndpoint(models.Model):
    """An address of an organization that is told of what it chose.

    Who serves it holds its lease, by the database's clock, and its fence: one at a time, so that a slow one waits for
    itself.
    """

    class State(models.TextChoices):
        ENABLED = "enabled", "On"
        DISABLED = "disabled", "Off"

    class Cause(models.TextChoices):
        OWNER = "owner", "Switched off by hand"
        GONE = "gone", "It answered 410 Gone"
        FAILING = "failing", "Nothing was accepted for three days"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="webhook_endpoints"
    )
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True, default="")
    event_types = ArrayField(models.CharField(max_length=40))
    state = models.CharField(max_length=10, choices=State.choices, default=State.ENABLED)
    disabled_because = models.CharField(max_length=10, choices=Cause.choices, blank=True, default="")
    disabled_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    failures = models.PositiveIntegerField(db_default=0)  # in a row
    accepted_at = models.DateTimeField(null=True)  # the newest delivery that was taken
    served_at = models.DateTimeField(null=True)  # whoever waited longest is served next
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveBigIntegerField(db_default=0)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="webhook_endpoint_is_http", condition=Q(url__regex=r"^https?://")),
            models.CheckConstraint(
                name="webhook_endpoint_hears_something", condition=Q(event_types__len__gte=1)
            ),
            models.CheckConstraint(
                name="webhook_endpoint_off_for_a_cause",
                condition=Q(state="enabled", disabled_because="", disabled_at__isnull=True)
                | Q(
                    state="disabled",
                    disabled_because__in=["owner", "gone", "failing"],
                    disabled_at__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="webhook_endpoint_gone_is_off",
                condition=Q(removed_at__isnull=True) | Q(state="disabled"),
            ),
        ]
        indexes = [
            # Who is to be served next, and what a new event goes to.
            models.Index(
                F("served_at").asc(nulls_first=True), name="webhook_next", condition=Q(state="enabled")
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="endpoint_is_its_owners", fields=["organization", "created_at"]),
            # A fence only rises: two who serve one endpoint never hold the same.
            pgtrigger.Protect(
                name="fence_only_rises",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__fence__lt=pgtrigger.F("old__fence")),
            ),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookSecret(models.Model):
    """What an endpoint's messages are signed with, encrypted. The newest has no end; a rotated one ends by itself."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="secrets")
    sealed = models.TextField(editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="webhook_secret_one_is_current", fields=["endpoint"], condition=Q(ends_at__isnull=True)
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="secret_is_fixed", fields=["endpoint", "sealed", "last_four", "created_at"]
            ),
            pgtrigger.Protect(
                name="end_is_never_put_off",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__ends_at__isnull=False)
                & (
                    pgtrigger.Q(new__ends_at__isnull=True)
                    | pgtrigger.Q(new__ends_at__gt=pgtrigger.F("old__ends_at"))
                ),
            ),
        ]


class WebhookEvent(models.Model):
    """Something that happened, as it is told: the same bytes under the same id, however often and to whomever."""

    id = models.CharField(primary_key=True, max_length=40)  # evt_ and 32 hex digits: the webhook-id
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=40)
    body = models.TextField()
    source = models.CharField(max_length=300)  # the outbox event that it came from: told twice is one event
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="webhook_event_once", fields=["organization", "source"]),
            models.CheckConstraint(
                name="webhook_event_is_named", condition=Q(id__regex=r"^evt_[0-9a-f]{32}$")
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="webhook_event_by_age")]
        triggers = [pgtrigger.Protect(name="event_is_fixed", operation=pgtrigger.Update)]


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    event = models.ForeignKey(
        WebhookEvent, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    tries = models.PositiveSmallIntegerField(db_default=0)  # that ended; interrupted ones are taken again
    attempts = models.PositiveIntegerField(db_default=0)  # all that began: the number of the newest
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    last_status = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="webhook_delivery_once", fields=["event", "endpoint"]),
            models.CheckConstraint(
                name="webhook_delivery_state_known",
                condition=Q(state="pending", ended_at__isnull=True)
                | Q(state__in=["delivered", "failed"], ended_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["endpoint", "due_at"], name="webhook_due", condition=Q(state="pending")),
            models.Index(F("endpoint"), F("id").desc(), name="webhook_delivery_newest"),
        ]
        triggers = [pgtrigger.ReadOnly(name="delivery_is_fixed", fields=["endpoint", "event", "created_at"])]


class WebhookAttempt(models.Model):
    """One try. It is written before it is made, so that one that died with its process can be seen."""

    class Outcome(models.TextChoices):
        UNDER_WAY = "under_way", "Under way"
        ACCEPTED = "accepted", "Accepted"
        DECLINED = "declined", "Declined"
        UNREACHABLE = "unreachable", "No answer"
        FORBIDDEN = "forbidden", "Not sent"
        INTERRUPTED = "interrupted", "Interrupted"

    delivery = models.ForeignKey(
        WebhookDelivery, on_delete=models.CASCADE, related_name="tried", db_index=False
    )
    number = models.PositiveIntegerField()
    outcome = models.CharField(max_length=12, choices=Outcome.choices, default=Outcome.UNDER_WAY)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    status = models.PositiveIntegerField(null=True)
    snippet = models.TextField(blank=True, default="")
    detail = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="webhook_attempt_once", fields=["delivery", "number"]),
            models.CheckConstraint(
                name="webhook_attempt_outcome_known",
                condition=Q(outcome="under_way", ended_at__isnull=True)
                | Q(
                    outcome__in=["accepted", "declined", "unreachable", "forbidden", "interrupted"],
                    ended_at__isnull=False,
                ),
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="what_came_of_it_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__outcome__df="under_way"),
            ),
        ]

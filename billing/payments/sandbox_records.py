"""What the sandbox provider remembers: its objects in Stripe's shape, and the events it has yet to deliver.

These stand for rows at somebody else's company. Nothing of ours refers to them; ours and theirs meet by webhook only.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class SandboxObject(models.Model):
    """A session, intent, charge, customer, refund, dispute or invoice of the sandbox."""

    id = models.CharField(max_length=80, primary_key=True)
    kind = models.CharField(max_length=30)
    body = models.JSONField()
    # What a repeated call is recognised by; a repeated call gets the object that the first one made.
    idempotency_key = models.CharField(max_length=200, null=True, unique=True)  # noqa: DJ001  unique among those set
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "billing"


class SandboxEvent(models.Model):
    """An event of the sandbox, delivered when it is due, like a webhook: again until it was taken."""

    id = models.CharField(max_length=80, primary_key=True)
    body = models.TextField()  # exactly what is signed
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "billing"
        indexes = [
            models.Index(F("due_at"), name="sandbox_event_due", condition=Q(delivered_at__isnull=True)),
        ]

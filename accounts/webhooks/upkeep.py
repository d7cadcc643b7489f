"""What is old is forgotten: deliveries are kept for 30 days."""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent

KEPT = timedelta(days=30)
MOST_AT_ONCE = 5000


def forget(now: datetime) -> int:
    """Delete events older than 30 days with their deliveries and tries; how many. And endpoints removed before then."""
    with transaction.atomic():
        old = list(
            WebhookEvent.objects.filter(created_at__lt=now - KEPT).values_list("pk", flat=True)[:MOST_AT_ONCE]
        )
        WebhookAttempt.objects.filter(delivery__event__in=old).delete()
        WebhookDelivery.objects.filter(event__in=old).delete()
        WebhookEvent.objects.filter(pk__in=old).delete()
        gone = WebhookEndpoint.objects.filter(removed_at__lt=now - KEPT, deliveries=None)
        gone.delete()
    return len(old)

"""Celery's entries of this room; each makes one call."""

from celery import shared_task
from django.utils import timezone

from accounts.webhooks import couriers
from accounts.webhooks import upkeep as webhook_upkeep


@shared_task
def deliver_webhooks() -> None:
    """Every second: threads of this process begin to serve the webhooks that have something due."""
    couriers.run()


@shared_task
def forget_webhook_deliveries() -> None:
    """Hourly: deliveries are kept for 30 days."""
    webhook_upkeep.forget(timezone.now())

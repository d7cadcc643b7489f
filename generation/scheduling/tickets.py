"""Celery tickets: anonymous hints that a pool has work. Losing one costs a moment, sending one twice costs nothing."""

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def send_after_commit(pool_slug: str) -> None:
    """Send one ticket once the caller's transaction has committed."""
    transaction.on_commit(lambda: send(pool_slug))


def send(pool_slug: str) -> bool:
    """Send one ticket now. Without Redis the work still waits in PostgreSQL, and the upkeep beat sends it later."""
    try:
        current_app.send_task("generation.tasks.work", args=[pool_slug], queue=pool_slug, retry=False)
    except (OperationalError, RedisError) as error:
        logger.warning("ticket not sent, upkeep will", extra={"pool": pool_slug, "error": str(error)})
        return False
    return True

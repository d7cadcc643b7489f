"""Celery tickets: anonymous hints that a pool has work. Losing one costs a moment, sending one twice costs nothing."""

import logging
from functools import cache

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

ENOUGH = 200


@cache
def _broker() -> redis.Redis:
    """Where Celery keeps its queues, each a list by its name."""
    return redis.Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=2, socket_connect_timeout=1)


def send_after_commit(pool_slug: str) -> None:
    """Send one ticket once the caller's transaction has committed."""
    transaction.on_commit(lambda: send(pool_slug))


def send(pool_slug: str) -> bool:
    """Send one ticket now. Without Redis the work still waits in PostgreSQL, and the upkeep beat sends it later.

    Where many tickets lie that nobody has taken, every slot is busy or gone: whoever takes one of them afterwards works
    until nothing waits, this job too, so that one more would be the dearest part of a request in a rush, for nothing.
    """
    try:
        if _broker().llen(pool_slug) >= ENOUGH:
            return True
        current_app.send_task("generation.tasks.work", args=[pool_slug], queue=pool_slug, retry=False)
    except (OperationalError, RedisError) as error:
        logger.warning("ticket not sent, upkeep will", extra={"pool": pool_slug, "error": str(error)})
        return False
    return True

"""Reads through an API key have a limit of their own, far looser than that of requests that cost something.

It lives in Redis alone: wiping it, or Redis being away, lets reads through, and a read costs no money.
"""

import logging
from datetime import datetime
from functools import cache

import redis
from django.conf import settings
from django.core.cache import cache as kept
from redis.exceptions import RedisError

from accounts import tiers
from accounts.errors import ApiError
from billing import billing_settings

logger = logging.getLogger(__name__)

LEAST_PER_MINUTE = 600  # ten jobs that are asked after once a second
LIMIT_KEPT_S = 60


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.25, socket_connect_timeout=0.25)


def count(organization_id: int, api_key_id: int, now: datetime) -> None:
    """Count one read of a key. Raises `ApiError` rate_limit_exceeded above its limit for the minute (UTC)."""
    minute = int(now.timestamp()) // 60
    name = f"reads:{api_key_id}:{minute}"
    try:
        pipeline = _client().pipeline(transaction=False)
        pipeline.incr(name)
        pipeline.expire(name, 120)
        used = pipeline.execute()[0]
    except RedisError as problem:
        logger.warning("reads are not counted", extra={"problem": str(problem)})
        return
    # Most are far below the least limit there is, and then nobody needs to know which it is.
    if used <= LEAST_PER_MINUTE or used <= (limit := per_minute(organization_id, now)):
        return
    wait = 60 - now.timestamp() % 60
    raise ApiError(
        "rate_limit_exceeded",
        f"This API key may read {limit} times per minute and has done so. What would be allowed: the same request in "
        f"{wait:.0f} seconds; the stream of a job tells its changes without asking.",
        retry_after_s=wait,
        headers={"x-ratelimit-limit-requests": str(limit), "x-ratelimit-remaining-requests": "0"},
    )


def per_minute(organization_id: int, now: datetime) -> int:
    """Reads that a key may make: so many per generation request that its tier allows, and 600 at least."""
    name = f"reads-per-minute:{organization_id}"
    limit = kept.get(name)
    if limit is None:
        terms, factor = tiers.terms_for(organization_id, now), billing_settings.in_force(now)
        limit = max(LEAST_PER_MINUTE, terms.requests_per_minute_key * factor.reads_per_minute_factor)
        kept.set(name, limit, LIMIT_KEPT_S)
    return limit

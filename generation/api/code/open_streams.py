"""How many streams a key (or a signed-in person) has open at once, over all web processes; in Redis, where seats that
nobody keeps run out by themselves. Without Redis nobody is counted: what may run at once is admission's to limit.
"""

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass

from django.conf import settings
from redis.exceptions import RedisError

from accounts.errors import ApiError
from accounts.identity import Caller
from generation.token_hub import hub

logger = logging.getLogger(__name__)

SEAT_S = 60.0
PATIENCE_S = 1.0
RETRY_S = 5
TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


@dataclass(slots=True)
class Seat:
    """One open stream. `key` is "" where nobody counts."""

    key: str
    name: str
    kept_at: float

    async def keep(self) -> None:
        """The stream is still open; asked at every heartbeat, said when it is due."""
        now = time.time()
        if self.key and now - self.kept_at > SEAT_S / 3:
            self.kept_at = now
            await _asked("ZADD", self.key, "XX", now + SEAT_S, self.name)
            await _asked("EXPIRE", self.key, int(2 * SEAT_S))

    async def leave(self) -> None:
        """The stream has ended. Shielded: a reader that went away is being cancelled."""
        if self.key:
            key, self.key = self.key, ""
            await asyncio.shield(asyncio.ensure_future(_asked("ZREM", key, self.name)))


async def take(caller: Caller) -> Seat:
    """A seat; raises ApiError concurrency_limit_exceeded where all are taken, before anything is queued."""
    who = f"key:{caller.api_key.pk}" if caller.api_key else f"user:{caller.user.pk}"
    key, name, now = f"streams:{who}", secrets.token_hex(6), time.time()
    most = settings.STREAMS_PER_KEY
    taken = await _asked("EVAL", TAKE, 1, key, now, now + SEAT_S, name, most, int(2 * SEAT_S))
    if taken == 0:
        raise ApiError(
            "concurrency_limit_exceeded",
            f"This key has {most} streams open, the most it may. Close one, or wait for one to end.",
            retry_after_s=RETRY_S,
        )
    return Seat(key if taken else "", name, now)


async def _asked(*command: object) -> object:
    """The answer of Redis, None where there is none."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await hub().redis.execute_command(*command)
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("open streams are not counted", extra={"error": str(error)})
        return None

"""Redis carries motion: what a page shows while it happens, and tokens on their way. Wiping it loses nothing but speed.

Tokens are in PostgreSQL (`TokenSegment`) before they are here, under sequence numbers of our own, so a reader that
finds a gap, or no Redis at all, reads the same segments from there.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from redis.exceptions import RedisError

from generation.models import OPEN_STATES, Job, Kind, State, TokenSegment
from generation.pooling import give_back
from generation.token_hub import channel, hub

logger = logging.getLogger(__name__)

KEEP_ENTRIES = 2_000
KEEP_SECONDS = 3_600
HEARTBEAT_S = 10.0
REDIS_PATIENCE_S = 2.0
LOOK_S = 1.0  # without a word from Redis, PostgreSQL is asked this often
AT_ONCE = 50  # segments that are read for one reader in one go


@dataclass(frozen=True)
class TokenEvent:
    """A run of text of a completion, or its end: then `finish_reason` or `error` is set."""

    seq: int
    text: str = ""
    finish_reason: str | None = None
    error: dict | None = None
    usage: dict | None = None


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1)


@asynccontextmanager
async def _listening() -> AsyncIterator[redis.asyncio.Redis]:
    """A connection of this event loop's own, closed with the reader.

    Without a socket timeout, because the client keeps that with asyncio.wait_for, which in Python 3.11 swallows a
    cancellation that comes just as a write ends: a reader that left would go on reading. `_read` bounds the wait.
    """
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=None)
    try:
        yield client
    finally:
        await client.aclose()


def announce(job_id: UUID, kind: str, data: dict) -> None:
    """Tell whoever watches a job that something changed (state, step, preview)."""
    _append(f"progress:{job_id}", "", "kind", kind, "data", json.dumps(data))


def append_tokens(job_id: UUID, seq: int, text: str) -> None:
    """Send on a segment that is in PostgreSQL already."""
    _append(channel(job_id), f"{seq}:{text}", "seq", seq, "text", text)


def end_tokens(job_id: UUID) -> None:
    """Tell readers that the job may have ended; whether and how, they read from its row."""
    _append(channel(job_id), "0:", "seq", 0, "text", "")


# Keep an entry for those who come later, and tell those who listen where there is a message for them.
APPEND = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', KEYS[1], ARGV[3]) end
"""


@cache
def _appending() -> Callable:
    return _client().register_script(APPEND)


def _append(key: str, message: str, *fields: object) -> None:
    """One command: a pipeline of the three would cost a writer of many tokens twice the time."""
    try:
        _appending()(keys=[key], args=[KEEP_ENTRIES, KEEP_SECONDS, message, *fields])
    except RedisError as error:
        logger.warning("stream entry lost", extra={"key": key, "error": str(error)})


async def follow_progress(job_id: UUID) -> AsyncIterator[dict | None]:
    """Changes of a job as they happen, until it has ended; None every now and then, so that a dead reader is noticed.

    The first item comes at once. Each is `{"kind", …}`; what a page shows it reads from the job's row.
    """
    yield {"kind": "state"}
    last, silent = "$", 0.0
    async with _listening() as client:
        while not await _ended(job_id):
            last, entries = await _read(client, f"progress:{job_id}", last, LOOK_S)
            for entry in entries[-1:]:  # a page shows only the newest
                silent = 0.0
                yield {"kind": entry["kind"], **json.loads(entry["data"])}
            if not entries:
                silent += LOOK_S
                if silent >= HEARTBEAT_S:
                    silent = 0.0
                    yield None
    yield {"kind": "end"}


async def follow_tokens(
    job_id: UUID, after: int = 0, *, fresh: bool = False
) -> AsyncIterator[TokenEvent | None]:
    """The segments of a completion after number `after`, then its end; None every few seconds of silence.

    They come from Redis as they are written. What it doesn't have is read from PostgreSQL, where everything is; of a
    job that was submitted just now (`fresh`) nothing is looked for there at first.
    """
    async with hub().tap(job_id, after) as tap:
        tap.look = not fresh
        for number, text in await _kept(job_id) if fresh else ():
            tap.put(number, text, tap.heard_at)
        while True:
            if tap.look:
                tap.look = False
                tap.take()
                found = await _looked_up(job_id, tap.after)
                for event in found.events:
                    tap.after = event.seq
                    yield event
                tap.look = tap.look or found.more
                if found.end:
                    yield found.end
                    return
            for number, text in tap.take():
                if number == tap.after + 1:
                    tap.after = number
                    yield TokenEvent(number, text)
                elif number == 0 or number > tap.after:
                    tap.look = True
            if tap.beat:
                tap.beat = False
                yield None
            await tap.wait()


async def _kept(job_id: UUID) -> list[tuple[int, str]]:
    """What was written to the stream before its reader came."""
    try:
        async with asyncio.timeout(REDIS_PATIENCE_S):
            entries = await hub().redis.xrange(channel(job_id))
    except (RedisError, OSError, TimeoutError):
        return []
    return [(int(entry[b"seq"]), entry[b"text"].decode()) for _, entry in entries]


async def _read(client, key: str, last: str, seconds: float) -> tuple[str, list[dict]]:
    """New entries of a stream, waiting at most `seconds`; without Redis, silence."""
    try:
        async with asyncio.timeout(seconds + REDIS_PATIENCE_S):
            found = await client.xread({key: last}, block=int(seconds * 1000), count=200)
    except (RedisError, TimeoutError):
        await asyncio.sleep(seconds)
        return last, []
    if not found:
        return last, []
    pairs = found[key.encode()][0] if isinstance(found, dict) else found[0][1]
    entries = [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in pairs]
    return pairs[-1][0].decode(), entries


@dataclass(frozen=True)
class _Found:
    """What PostgreSQL has: segments, whether there are more, and the end where nothing is left to come."""

    events: list[TokenEvent]
    more: bool
    end: TokenEvent | None


# A reader waits far longer than it looks: each look gives its connection back, or a few readers would empty the pool.
# And none has a thread of its own.


@sync_to_async(thread_sensitive=False)
def _looked_up(job_id: UUID, after: int) -> _Found:
    try:
        job = Job.objects.filter(pk=job_id).first()  # before its segments: none can come after the end
        segments = TokenSegment.objects.filter(job=job_id, seq__gt=after).order_by("seq")
        events = [TokenEvent(*segment) for segment in segments.values_list("seq", "text")[:AT_ONCE]]
        more = len(events) == AT_ONCE
        ended = not more and (job is None or not job.is_open)
        return _Found(events, more, _end(job, events[-1].seq if events else after) if ended else None)
    finally:
        give_back()


@sync_to_async(thread_sensitive=False)
def _ended(job_id: UUID) -> bool:
    try:
        return not Job.objects.filter(pk=job_id, state__in=OPEN_STATES).exists()
    finally:
        give_back()


def _end(job: Job | None, last: int) -> TokenEvent:
    if job is not None and job.kind == Kind.CODE and job.state == State.DELIVERED:
        usage = {
            "prompt_tokens": job.tokens_in,
            "completion_tokens": job.tokens_out,
            "total_tokens": job.tokens_in + job.tokens_out,
        }
        return TokenEvent(last + 1, finish_reason=job.finish_reason, usage=usage)
    code = job.error_code if job else "not_found"
    return TokenEvent(last + 1, error={"code": code, "message": job.error_message if job else ""})

"""All token streams that one event loop follows, over one connection to Redis.

A reader opens a `Tap` on a job. Workers publish what they stored, the hub hands it to the taps of that job, and what a
slow reader doesn't fetch is dropped beyond a bound: the reader then reads it from PostgreSQL. Taps that hear nothing
are looked after together: one query a second for all of them, and a heartbeat now and then.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID
from weakref import WeakKeyDictionary

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max
from redis.exceptions import RedisError

from generation.models import OPEN_STATES, Job
from generation.pooling import give_back

logger = logging.getLogger(__name__)

MOST_ENTRIES, MOST_CHARACTERS = 32, 4_096  # that wait for one reader
HEARTBEAT_S = 5.0
LOOK_S = 1.0  # PostgreSQL is asked about silent streams this often
PATIENCE_S = 2.0  # for Redis
IDLE_S = 30.0  # a hub without readers keeps its connection so long
CONNECTIONS = 4
ALWAYS = "tokens:hub"  # a channel that nobody writes to, so that there is always one to listen on


@dataclass(slots=True, eq=False)
class Tap:
    """One reader's place at a job's stream. `after` is the last number that the reader passed on."""

    job_id: UUID
    after: int
    look: bool = False  # something is to be read from PostgreSQL
    beat: bool = False  # nothing was said for long
    heard_at: float = 0.0
    entries: list[tuple[int, str]] = field(default_factory=list)
    _characters: int = 0
    _waiter: asyncio.Future | None = None

    def put(self, number: int, text: str, now: float) -> None:
        self.heard_at = now
        self._characters += len(text)
        if len(self.entries) >= MOST_ENTRIES or self._characters > MOST_CHARACTERS:
            self.entries.clear()
            self._characters, self.look = 0, True
        elif not self.look:
            self.entries.append((number, text))
        self._wake()

    def take(self) -> list[tuple[int, str]]:
        """What waits, which then waits no longer."""
        taken, self.entries, self._characters = self.entries, [], 0
        return taken

    def nudge(self, *, look: bool = False, beat: bool = False) -> None:
        self.look, self.beat = self.look or look, self.beat or beat
        if look or beat:
            self._wake()

    async def wait(self) -> None:
        """Until there is something to take, to look up, or to say."""
        if self.entries or self.look or self.beat:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    @property
    def waits(self) -> bool:
        return self._waiter is not None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Hub:
    """The taps of one event loop."""

    def __init__(self) -> None:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            settings.REDIS_URL, max_connections=CONNECTIONS, timeout=PATIENCE_S, socket_connect_timeout=1
        )
        self.redis = redis.asyncio.Redis(connection_pool=pool)
        # The listener waits as long as it takes, so it has no timeout; nobody but the hub ever cancels it.
        self._listener = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=None
        )
        self._pubsub = self._listener.pubsub()
        self._taps: dict[UUID, list[Tap]] = {}
        self._confirmed: dict[UUID, asyncio.Future] = {}  # an Event would hold three times the memory
        self._listening = asyncio.Event()
        self._tasks: list[asyncio.Task] = []
        self._idle_since: float | None = None

    @asynccontextmanager
    async def tap(self, job_id: UUID, after: int) -> AsyncIterator[Tap]:
        """A place at the stream, from a moment before this returns; without Redis it hears of PostgreSQL alone."""
        self._start()
        tap = Tap(job_id, after, heard_at=_now())
        self._taps.setdefault(job_id, []).append(tap)
        try:
            await self._subscribe(job_id)
            yield tap
        finally:
            await self._leave(tap)

    def _start(self) -> None:
        self._idle_since = None
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._mind())]

    async def _subscribe(self, job_id: UUID) -> None:
        confirmed = self._confirmed.setdefault(job_id, asyncio.get_running_loop().create_future())
        if confirmed.done():
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._listening.wait()
                await self._pubsub.subscribe(channel(job_id))
                await asyncio.shield(confirmed)
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("a stream is followed without Redis", extra={"error": str(error)})

    async def _leave(self, tap: Tap) -> None:
        taps = self._taps[tap.job_id]
        taps.remove(tap)
        if taps:
            return
        del self._taps[tap.job_id]
        self._confirmed.pop(tap.job_id, None)
        with contextlib.suppress(RedisError, OSError):
            await self._pubsub.unsubscribe(channel(tap.job_id))

    async def _listen(self) -> None:
        while True:
            try:
                await self._pubsub.subscribe(ALWAYS)
                self._listening.set()
                async for message in self._pubsub.listen():
                    self._heard(message)
            except (RedisError, OSError) as error:
                logger.warning("the hub lost Redis", extra={"error": str(error)})
                await asyncio.sleep(LOOK_S)

    def _heard(self, message: dict) -> None:
        name = message["channel"].decode()
        if name == ALWAYS:
            return
        job_id = UUID(name.removeprefix("tokens:"))
        if message["type"] == "subscribe" and job_id in self._confirmed:
            confirmed = self._confirmed[job_id]
            if not confirmed.done():
                confirmed.set_result(None)
        elif message["type"] == "message":
            number, _, text = message["data"].decode().partition(":")
            for tap in self._taps.get(job_id, ()):
                tap.put(int(number), text, _now())

    async def _mind(self) -> None:
        """Look after the taps that hear nothing; end the hub when nobody has read for long."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = _now()
            if not self._taps:
                self._idle_since = self._idle_since or now
                if now - self._idle_since >= IDLE_S:
                    return await self._close()
                continue
            silent = [tap for tap in self._all() if tap.waits and now - tap.heard_at >= LOOK_S]
            try:
                further = await _further(tuple({tap.job_id for tap in silent})) if silent else {}
            except DatabaseError as error:
                logger.warning("silent streams can't be looked up", extra={"error": str(error)})
                further = {}
            for tap in silent:
                ended, last = further.get(tap.job_id, (False, 0))
                tap.nudge(look=ended or last > tap.after)
                if now - tap.heard_at >= HEARTBEAT_S:
                    tap.heard_at = now
                    tap.nudge(beat=True)

    def _all(self) -> Iterable[Tap]:
        return [tap for taps in self._taps.values() for tap in taps]

    async def _close(self) -> None:
        tasks, self._tasks = self._tasks, []
        tasks[0].cancel()
        _hubs.pop(asyncio.get_running_loop(), None)
        with contextlib.suppress(RedisError, OSError):
            await self._pubsub.aclose()
            await self._listener.aclose()
            await self.redis.aclose()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def channel(job_id: UUID) -> str:
    return f"tokens:{job_id}"


def _now() -> float:
    return asyncio.get_running_loop().time()


@sync_to_async(thread_sensitive=False)
def _further(jobs: tuple[UUID, ...]) -> dict[UUID, tuple[bool, int]]:
    """Whether each job has ended (one that is gone has), and the number of its last segment."""
    try:
        found = Job.objects.filter(pk__in=jobs).annotate(last=Max("segments__seq"))
        rows = {
            job: (state not in OPEN_STATES, last or 0)
            for job, state, last in found.values_list("pk", "state", "last")
        }
        return {job: rows.get(job, (True, 0)) for job in jobs}
    finally:
        give_back()

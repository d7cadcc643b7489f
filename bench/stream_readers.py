"""A thousand readers of streams on one event loop, and a writer who sends each a segment now and then."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

from generation import streams

MOMENT = re.compile(rb"<(\d+\.\d+)>")
OPENS_WITHIN_S = 600
PAUSE_S = 2.0  # between two segments of one stream
SETTLES_S = 3.0


@dataclass
class Seen:
    """`late` is how many seconds each segment took from its writer to its reader; `measured` what the caller measured
    while all streams were open."""

    late: list[float] = field(default_factory=list)
    broken: int = 0
    measured: float = 0.0


def request(url: str, raw: str, body: bytes) -> bytes:
    """The whole request for a stream."""
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {raw}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(
    url: str,
    asked: bytes,
    count: int,
    at_once: int,
    seconds: float,
    measure: Callable[[], float] = lambda: 0.0,
) -> Seen:
    """Open `count` streams, write to all of them for so long, and leave."""
    return asyncio.run(_run(url, asked, count, at_once, seconds, measure))


class _Reader(asyncio.Protocol):
    """One stream: it notes when segments come that say when they were written."""

    def __init__(self, asked: bytes, seen: Seen) -> None:
        self.asked, self.seen = asked, seen
        self.opened = asyncio.get_running_loop().create_future()
        self.left = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.write(self.asked)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 200"))
        self.seen.late += [now - float(moment) for moment in MOMENT.findall(data)]

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.left:
            self.seen.broken += 1
        if not self.opened.done():
            self.opened.set_result(False)


async def _run(url: str, asked: bytes, count: int, at_once: int, seconds: float, measure) -> Seen:
    seen, place, door = Seen(), urlsplit(url), asyncio.Semaphore(at_once)
    loop = asyncio.get_running_loop()

    async def opened() -> _Reader:
        async with door:
            _, reader = await loop.create_connection(lambda: _Reader(asked, seen), place.hostname, place.port)
            if not await reader.opened:
                seen.broken += 1
            return reader

    before = await asyncio.to_thread(_jobs)
    async with asyncio.timeout(OPENS_WITHIN_S):
        readers = await asyncio.gather(*(opened() for _ in range(count)))
    jobs = list(await asyncio.to_thread(_jobs) - before)
    await asyncio.sleep(SETTLES_S)
    seen.late.clear()
    await asyncio.to_thread(_write, jobs, seconds)
    await asyncio.sleep(1)
    seen.measured = await asyncio.to_thread(measure)
    for reader in readers:
        reader.left = True
        reader.transport.abort()
    await asyncio.to_thread(_until_cancelled)
    return seen


def _write(jobs: list[UUID], seconds: float) -> None:
    """A segment to each stream in turn, evenly over the pause."""
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        turn, place = divmod(number, len(jobs))
        due = began + number * PAUSE_S / len(jobs)
        time.sleep(max(0.0, due - time.monotonic()))
        streams.append_tokens(jobs[place], turn + 1, f"    return <{time.monotonic():.6f}>\n")
        number += 1


def _jobs() -> set[UUID]:
    from django.db import connection

    from generation.models import Job, State

    try:
        return set(Job.objects.filter(state=State.QUEUED).values_list("pk", flat=True))
    finally:
        connection.close()


def _until_cancelled() -> None:
    """Each stream that its reader left is cancelled; what is measured next has the machine to itself."""
    ends_at = time.monotonic() + OPENS_WITHIN_S
    while _jobs():
        if time.monotonic() > ends_at:
            raise RuntimeError("jobs whose readers left were not cancelled")
        time.sleep(0.5)

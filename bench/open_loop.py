"""A small HTTP client for load: keep-alive connections of one event loop, closed loop for capacity, open for latency.

In an open loop requests come at times drawn beforehand, whether or not the server is done with earlier ones, and a
latency counts from the time at which a request was due: waiting for a free connection counts too.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECTIONS = 16
Next = Callable[[], bytes]


@dataclass(frozen=True)
class Seen:
    """Statuses counted, the seconds that it took, and the latencies of those answered with 200 (s)."""

    statuses: dict[int, int]
    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        return self.statuses.get(200, 0) / self.seconds


def request(url: str, path: str, key: str, body: dict) -> bytes:
    """A whole POST as it goes over the wire."""
    content = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"Authorization: Bearer {key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


def closed(url: str, requests: Iterator[bytes], seconds: float, connections: int = CONNECTIONS) -> Seen:
    """As fast as they are answered, each connection one after the other."""
    return asyncio.run(_closed(url, requests, seconds, connections))


def opened(url: str, requests: Iterator[bytes], rate: float, seconds: float, seed: int = 1) -> Seen:
    """`rate` a second with exponential gaps (Poisson arrivals)."""
    return asyncio.run(_opened(url, requests, rate, seconds, seed))


class _Connection:
    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)

    async def ask(self, content: bytes) -> int:
        """The status of the answer, whose body is read and dropped."""
        if not hasattr(self, "_writer"):
            self._reader, self._writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        self._writer.write(content)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        await self._reader.readexactly(length)
        return int(head[9:12])

    def close(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.close()


async def _closed(url: str, requests: Iterator[bytes], seconds: float, connections: int) -> Seen:
    statuses: dict[int, int] = {}
    latencies: list[float] = []
    began = time.perf_counter()

    async def one() -> None:
        connection = _Connection(url)
        while (now := time.perf_counter()) < began + seconds:
            status = await connection.ask(next(requests))
            statuses[status] = statuses.get(status, 0) + 1
            if status == 200:
                latencies.append(time.perf_counter() - now)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return Seen(statuses, time.perf_counter() - began, latencies)


async def _opened(url: str, requests: Iterator[bytes], rate: float, seconds: float, seed: int) -> Seen:
    chance, statuses, latencies = random.Random(seed), {}, []
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    connections = [_Connection(url) for _ in range(4 * CONNECTIONS)]
    for connection in connections:
        free.put_nowait(connection)
    began = due = time.perf_counter()

    async def one(due_at: float) -> None:
        connection = await free.get()
        status = await connection.ask(next(requests))
        free.put_nowait(connection)
        statuses[status] = statuses.get(status, 0) + 1
        if status == 200:
            latencies.append(time.perf_counter() - due_at)

    asked = []
    while due < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(one(due)))
        due += chance.expovariate(rate)
    await asyncio.gather(*asked)
    took = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return Seen(statuses, took, latencies)

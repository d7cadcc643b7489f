"""One try: a POST to a checked address, within 15 s in all, reading little of the answer.

The name is resolved once; every address it leads to is judged, and the connection is made to a judged address by its
number, so that a name that answers differently the next moment changes nothing. TLS and the Host header name the host
as its owner wrote it. Redirects are not followed, proxies of the environment not used, nothing is decoded.
"""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpcore2
from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream

from accounts.webhooks.addresses import Address, Refused, Target, judge, read

logger = logging.getLogger(__name__)

WHOLE_S, CONNECT_S = 15.0, 5.0
MOST_ADDRESSES = 4  # of one name that are tried
MOST_READ, MOST_KEPT = 16_384, 1000  # bytes of an answer; characters of it that are kept
FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError)

Resolve = Callable[[str, int], Awaitable[list[Address]]]
Dial = Callable[[Address, int], Awaitable[AsyncNetworkStream]]


@dataclass(frozen=True)
class Answer:
    """What came of a try. `status` is None where no answer came; `detail` says why then."""

    outcome: str  # a WebhookAttempt.Outcome
    status: int | None = None
    snippet: str = ""
    detail: str = ""
    duration_ms: int = 0


@dataclass(frozen=True)
class Ways:
    """How the outside is reached. `local` lets local addresses pass, which is for development."""

    local: bool
    resolve: Resolve
    dial: Dial
    tls: Callable[[], ssl.SSLContext]


async def post(url: str, headers: dict[str, str], body: str, ways: Ways) -> Answer:
    """Send one message and say what came of it; raises for bugs alone."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(WHOLE_S):
            status, start = await _exchange(read(url, local=ways.local), headers, body.encode(), ways)
        answer = _judged(status, _text(start))
    except Refused as refusal:
        answer = Answer("forbidden", detail=f"Not sent: {refusal}.")
    except TimeoutError:
        answer = Answer("unreachable", detail=f"There was no whole answer within {WHOLE_S:.0f} s.")
    except FAILURES as failure:
        answer = Answer("unreachable", detail=_words(failure))
    spent = round((time.monotonic() - began) * 1000)
    return Answer(answer.outcome, answer.status, answer.snippet, answer.detail, spent)


def _judged(status: int, snippet: str) -> Answer:
    if 200 <= status < 300:
        return Answer("accepted", status, snippet)
    detail = "Redirects are not followed: enter the address it leads to." if 300 <= status < 400 else ""
    return Answer("declined", status, snippet, detail)


async def _exchange(target: Target, headers: dict[str, str], body: bytes, ways: Ways) -> tuple[int, bytes]:
    url = httpcore2.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )
    sent = {
        "Host": _authority(target),
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": "Backlot-Webhooks/1",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    tls = ways.tls() if target.scheme == "https" else None
    async with (
        httpcore2.AsyncConnectionPool(
            ssl_context=tls, network_backend=_Judging(ways), max_connections=1, max_keepalive_connections=0
        ) as pool,
        pool.stream("POST", url, headers=sent, content=body) as response,
    ):
        return response.status, await _start_of(response)


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    usual = {"https": 443, "http": 80}[target.scheme]
    return host if target.port == usual else f"{host}:{target.port}"


async def _start_of(response: httpcore2.Response) -> bytes:
    """The first bytes of the answer's body; the rest is left unread with the connection."""
    start = b""
    async for part in response.aiter_stream():
        start += part
        if len(start) >= MOST_READ:
            break
    return start[:MOST_READ]


def _text(start: bytes) -> str:
    """What is kept of an answer: printable text, since it is shown to its owner and stored."""
    words = start.decode("utf-8", "replace")[:MOST_KEPT]
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in words)


def _words(failure: Exception) -> str:
    text = str(failure) or type(failure).__name__
    return f"No connection, or it broke: {text}"[:300]


class _Judging(AsyncNetworkBackend):
    """Connects to judged addresses only, whatever name it is given."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        found = await self.ways.resolve(host, port)
        for address in found:
            judge(address, local=self.ways.local)
        problem: Exception = httpcore2.ConnectError("the name leads nowhere")
        for address in found[:MOST_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self.ways.dial(address, port)
            except TimeoutError:
                problem = httpcore2.ConnectTimeout("it did not take the connection")
            except FAILURES as failure:
                problem = failure
        raise problem

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> AsyncNetworkStream:
        raise Refused("it is no address of the Internet")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a name, in the system's order; the address itself for one. Raises ConnectError.

    Asked in a thread of its own that nobody waits for: a resolver that hangs must not outlive the try's 15 s.
    """
    loop, found = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def settle(result: list | OSError | UnicodeError) -> None:
        if not found.done():
            found.set_result(result)

    def ask() -> None:
        try:
            result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            result = problem
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:  # the try has given up meanwhile, and its loop is closed
            logger.info("the name %s was resolved after its try had ended", host)

    threading.Thread(target=ask, name="webhook-name", daemon=True).start()
    result = await found
    if isinstance(result, Exception):
        raise httpcore2.ConnectError(f"the name could not be resolved: {result}") from result
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in result))


async def dial(address: Address, port: int) -> AsyncNetworkStream:
    """A connection to exactly this address."""
    stream = await httpcore2.AnyIOBackend().connect_tcp(str(address), port, timeout=CONNECT_S)
    peer = ip_address(stream.get_extra_info("server_addr")[0])
    if peer != address:
        await stream.aclose()
        raise Refused("the connection went somewhere else")
    return stream


@cache
def tls() -> ssl.SSLContext:
    """Certificates are verified against the system's roots, names as well."""
    return ssl.create_default_context()

"""Server-sent events that are handed out behind the application: to their end, or until their reader leaves."""

import asyncio
import contextlib
import gc
import socket
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from console.edge import Edge
from generation.api import sse
from tests.console.test_edge import listening
from tests.generation.live import wait_for


class Kept:
    """What an application holds for a request."""


@dataclass
class Events:
    """An application that leaves events: two and an end at /end, one and silence elsewhere; refused at /refused."""

    told: list[str] = field(default_factory=list)
    kept: weakref.ref | None = None

    async def __call__(self, scope, receive, send):
        request = Kept()
        self.kept = weakref.ref(request)
        await receive()
        sse.respond(self.events(endless=scope["path"] != "/end"))
        status = 503 if scope["path"] == "/refused" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        assert request

    async def events(self, *, endless: bool):
        try:
            yield b"data: 1\n\n"
            if endless:
                await asyncio.Event().wait()
            yield b"data: 2\n\n"
            self.told.append("ended")
        except (asyncio.CancelledError, GeneratorExit):
            self.told.append("left")
            raise
        finally:
            await asyncio.sleep(0)
            self.told.append("closed")


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def port(events) -> Iterator[int]:
    with listening(Edge(events)) as found:
        yield found


@contextlib.contextmanager
def asked(port: int, path: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        part = connection.recv(65_536)
        assert part, received
        received += part
    return received


def test_they_come_to_their_end_and_the_connection_serves_on(port, events):
    with asked(port, "/end") as connection:
        for _ in range(2):
            received = read_until(connection, b"\r\n0\r\n\r\n")
            assert received.count(b"HTTP/1.1 200") == 1
            assert received.index(b"data: 1\n\n") < received.index(b"data: 2\n\n")
            connection.sendall(b"GET /end HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(connection, b"\r\n0\r\n\r\n")
    assert events.told == ["ended", "closed"] * 3


def test_whoever_makes_them_hears_that_the_reader_left(port, events):
    with asked(port, "/") as connection:
        read_until(connection, b"data: 1\n\n")
        assert events.told == []
    wait_for(lambda: events.told)
    wait_for(lambda: events.told == ["left", "closed"])


def test_nothing_of_the_request_is_kept_while_they_come(port, events):
    with asked(port, "/") as connection:
        read_until(connection, b"data: 1\n\n")
        gc.collect()
        assert events.kept() is None


def test_an_answer_that_was_refused_behind_the_view_has_none(port, events):
    with asked(port, "/refused") as connection:
        received = read_until(connection, b"\r\n0\r\n\r\n")
    assert b"HTTP/1.1 503" in received
    assert b"data:" not in received
    assert events.told == []

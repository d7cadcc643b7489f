"""Clients that are slow on purpose, and requests that are too large: refused in time, and nobody else waits."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from accounts.errors import TABLE
from console import slow_clients
from console.edge import Edge
from tests.generation.live import wait_for

HEAD = b"POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def reader(scope, receive, send):
    """An application that reads the whole body and answers with more than any buffer holds where it is asked to."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(400 if scope["path"] == "/large" else 1):
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def listening(app) -> Iterator[int]:
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        lifespan="off",
        http="console.slow_clients:Patient",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def port(monkeypatch) -> Iterator[int]:
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.5)
    with listening(Edge(reader, body_s=0.5, stall_s=0.5)) as found:
        yield found


def said(connection: socket.socket) -> tuple[int, dict]:
    """The status and the error of what a server says before it closes."""
    connection.settimeout(10)
    received = b""
    while part := connection.recv(65_536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    status, error = int(head.split()[1]), json.loads(body)["error"]
    assert (status, error["type"]) == TABLE[error["code"]][:2]
    assert f"x-request-id: {error['request_id']}".encode() in head.lower()
    return status, error


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        yield connection


def test_a_head_that_comes_a_byte_at_a_time_is_cut_off(port):
    with connected(port) as connection:
        connection.sendall(HEAD)
        for _ in range(3):
            time.sleep(0.1)
            connection.sendall(b"X-A: b\r\n")
        assert said(connection)[1]["code"] == "request_timeout"


def test_a_connection_that_says_nothing_is_closed_without_a_word(port):
    with connected(port) as connection:
        connection.settimeout(10)
        assert connection.recv(100) == b""


def test_a_second_request_on_a_kept_connection_has_its_own_time(port):
    with connected(port) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(65_536)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert said(connection)[1]["code"] == "request_timeout"


def test_a_head_without_end_is_431(port):
    with connected(port) as connection:
        connection.sendall(HEAD + b"X-A: " + b"b" * 70_000)
        assert said(connection)[1]["code"] == "request_head_too_large"


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_refused_as_json(port, rubbish):
    with connected(port) as connection:
        connection.sendall(rubbish + b"\r\n\r\n")
        assert said(connection)[0] == 400


def test_a_body_that_does_not_arrive_is_408(port):
    with connected(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert said(connection)[1]["code"] == "request_timeout"


def test_ten_megabytes_are_refused_before_they_are_sent(port):
    """50 ms at most; the best of a few, since what a busy machine adds is not the service's."""
    took = []
    for _ in range(5):
        with connected(port) as connection:
            begun = time.monotonic()
            connection.sendall(HEAD + b"Content-Length: 10000000\r\n\r\n")
            assert connection.recv(20).startswith(b"HTTP/1.1 413 ")
            took.append(time.monotonic() - begun)
    assert min(took) < 0.05


def test_who_takes_nothing_of_the_answer_is_cut_off(port):
    with connected(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.5)
        connection.settimeout(10)
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1_000_000):
                received += len(part)
    assert received < 40_000_000


def test_two_hundred_slow_clients_keep_nobody_waiting(port):
    with contextlib.ExitStack() as open_ones:
        for _ in range(200):
            slow = open_ones.enter_context(connected(port))
            slow.sendall(HEAD)
        with connected(port) as connection:
            connection.settimeout(10)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(20).startswith(b"HTTP/1.1 200 ")


async def test_waiting_for_a_client_to_leave_has_no_end():
    """Once the body is there, `receive` tells of the disconnect, whenever that comes."""
    answers = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if answers:
            return answers.pop()
        await asyncio.sleep(0.3)
        return {"type": "http.disconnect"}

    async def application(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async def send(message):
        raise AssertionError(message)

    await Edge(application, body_s=0.1)({"type": "http", "path": "/v1/x", "headers": []}, receive, send)

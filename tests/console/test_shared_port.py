"""Processes behind one port: each gets its part of the connections, however they come."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import ClassVar

import pytest

from console.embedded.server import free_port
from console.shared_port import MOST_MS, Loop, patience_ms
from console.supervisor import programs
from tests.generation.live import wait_for

ROUNDS, CONNECTIONS = 4, 16
DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deployment.md"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    found = free_port(None)
    options = list(programs.web(found).command[4:])  # behind "python -m uvicorn application"
    application = "tests.console.which_process:which"
    command = [sys.executable, "-m", "uvicorn", application, *options, "--workers", "2", "--lifespan", "off"]
    server = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        wait_for(lambda: len(shares(found)) == 2, 60)
        yield found
    finally:
        server.terminate()
        server.wait(20)


def shares(port: int, asleep: Iterable[str] = ()) -> Counter[str]:
    """process → how many of the connections, open together, it answers; none while nobody listens.

    Of processes that are asleep until all are there, or else each connection when the one before it has its answer.
    """
    asked: Counter[str] = Counter()
    with contextlib.ExitStack() as held, contextlib.suppress(ConnectionError):
        opened: list[HTTPConnection] = []
        with stopped(asleep):
            for _ in range(CONNECTIONS):
                opened.append(
                    held.enter_context(contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=20)))
                )
                opened[-1].connect()
                if not asleep:
                    asked[answer(opened.pop())] += 1
        asked.update(map(answer, opened))
    return asked


@contextlib.contextmanager
def stopped(processes: Iterable[str]) -> Iterator[None]:
    for process in processes:
        os.kill(int(process), signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(int(process), signal.SIGCONT)


def answer(connection: HTTPConnection) -> str:
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


@pytest.mark.parametrize("wait", [False, True])
def test_each_process_gets_its_part(port, wait):
    both = set(shares(port)) if wait else ()
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        seen += shares(port, both)
    assert seen.total() == ROUNDS * CONNECTIONS
    # Even, but for a process that a busy machine lets sleep for a while.
    assert len(seen) == 2
    assert min(seen.values()) >= ROUNDS * CONNECTIONS * 3 / 8, seen


def test_a_connection_that_fails_does_not_end_the_taking():
    class Served(asyncio.Protocol):
        connections: ClassVar[set] = set()

        def connection_made(self, transport: asyncio.Transport) -> None:
            transport.write(b"here")
            transport.close()

    made = iter([RuntimeError("the first"), Served()])

    def next_one() -> asyncio.Protocol:
        one = next(made)
        if isinstance(one, Exception):
            raise one
        return one

    async def two_connections() -> list[bytes]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = await asyncio.get_running_loop().create_server(next_one, sock=listening, backlog=5)
            said = []
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                said.append(await asyncio.wait_for(reader.read(), 10))
                writer.close()
            server.close()
            await server.wait_closed()
        return said

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(two_connections()) == [b"", b"here"]


def test_who_has_more_waits_longer_and_nobody_for_long():
    waits = [patience_ms(n) for n in range(1000)]
    assert all(few <= more for few, more in itertools.pairwise(waits))
    assert waits[:3] == [0, 1, 2]
    assert max(waits) == MOST_MS


def test_the_deployers_command_has_the_same_doors(port):
    command = next(line for line in DEPLOYMENT.read_text().splitlines() if "uvicorn console.asgi" in line)
    for option in (
        "--http console.slow_clients:Patient",
        "--loop console.shared_port:Loop",
        "--no-access-log",
    ):
        assert option in command
        assert option in " ".join(programs.web(port).command)

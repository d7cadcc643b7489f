"""Connections spread over the processes that share one port: `uvicorn --workers N --loop console.shared_port:Loop`.

Left to themselves, whichever process wakes first takes every connection that is waiting: of 16 that came at once, one
of two processes had all in most runs, where its threads stood in each other's way while the other slept, and decisions
came at two thirds of the rate. Here a process waits a little before it takes a connection, the longer the more it has
already, so the one with the fewest is first. No process needs to know of the others.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvloop

logger = logging.getLogger(__name__)

EACH_MS, FEW = 1, 8  # a millisecond for each connection that is open, of the first few
MANY, MOST_MS = 16, 20  # then one for so many; at most so long
AT_ONCE = 8  # who has so many open takes one more at a time
NO_HANDLES_S = 1.0  # as asyncio waits where the process may not open another file


class Loop(uvloop.Loop):
    """uvloop's, which shares a listening socket that it is given; without one, or with TLS, it is uvloop's alone."""

    async def create_server(
        self,
        protocol_factory: Callable[[], Any],
        *arguments: Any,
        sock: socket.socket | None = None,
        **named: Any,
    ) -> Any:
        if sock is None or named.get("ssl"):
            return await super().create_server(protocol_factory, *arguments, sock=sock, **named)
        sock.setblocking(False)
        sock.listen(named["backlog"])
        return SharedPort(self, sock, protocol_factory)


class SharedPort:
    """One process's part in a listening socket: as much of an `asyncio.Server` as uvicorn asks for."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol_factory: Callable[[], Any]
    ) -> None:
        self._loop, self._sock, self._protocol_factory = loop, sock, protocol_factory
        self._open: set = set()  # uvicorn's own, from the first connection on
        self._taking = loop.create_task(self._take())

    def close(self) -> None:
        self._taking.cancel()
        self._loop.remove_reader(self._sock)

    async def wait_closed(self) -> None:
        await asyncio.wait([self._taking])

    async def _take(self) -> None:
        while True:
            await self._somebody_waits()
            await asyncio.sleep(patience_ms(len(self._open)) / 1000)
            for _ in range(1 + len(self._open) // AT_ONCE):
                try:
                    connection, _ = self._sock.accept()
                except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                    break  # another process was first, or who waited has gone
                except OSError as problem:
                    logger.error("no connection can be taken: %s", problem)
                    await asyncio.sleep(NO_HANDLES_S)
                    break
                await self._serve(connection)

    async def _somebody_waits(self) -> None:
        waits = self._loop.create_future()
        self._loop.add_reader(self._sock, lambda: waits.done() or waits.set_result(None))
        try:
            await waits
        finally:
            self._loop.remove_reader(self._sock)

    async def _serve(self, connection: socket.socket) -> None:
        """Whatever is wrong with one connection, the next are taken."""
        try:
            connection.setblocking(False)
            _, protocol = await self._loop.connect_accepted_socket(self._protocol_factory, connection)
        except Exception:
            logger.exception("a connection could not be served")
            connection.close()
        else:
            self._open = protocol.connections


def patience_ms(connections: int) -> int:
    """Before another connection is taken by a process that has so many."""
    return min(EACH_MS * min(connections, FEW) + connections // MANY, MOST_MS)

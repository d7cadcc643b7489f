"""The scorer's door: frames in, frames out; what waits is scored together, on one thread."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safety.scorer import addresses, wire

log = logging.getLogger(__name__)

MOST_AT_ONCE = 8  # questions in a batch: more would only let the first of them wait for the last

Answer = Callable[[list[dict]], list[dict]]
Job = tuple[dict, asyncio.Future]


class Server:
    """Listens at once and answers once `load` has made the scorer: whoever asks earlier waits, up to a deadline."""

    def __init__(self, address: str, secret: bytes, load: Callable[[], Answer]) -> None:
        self.address, self.secret, self.load = address, secret, load
        self._waiting: asyncio.Queue[Job] = asyncio.Queue()
        self._one_thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop. Raises what `load` raises: a scorer that can't load its model must not stay."""
        server = await self._listen()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._one_thread, self.load)
            log.info("scoring", extra={"address": self.address})
            work = asyncio.create_task(self._work(answer))
            stop = asyncio.create_task(stopping.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            work.cancel()
        finally:
            server.close()
            self._one_thread.shutdown(wait=False, cancel_futures=True)
            if path := addresses.path_of(self.address):
                path.unlink(missing_ok=True)

    async def _listen(self) -> asyncio.Server:
        path = addresses.path_of(self.address)
        if path is None:
            return await asyncio.start_server(self._serve, *addresses.host_port(self.address))
        _make_way(path)
        return await asyncio.start_unix_server(self._serve, sock=_bound(path))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a question, its answer, the next question."""
        try:
            while True:
                head = await reader.readexactly(wire.HEAD.size)
                question = wire.unpacked(self.secret, head, await reader.readexactly(wire.length(head)))
                answered: asyncio.Future = asyncio.get_running_loop().create_future()
                self._waiting.put_nowait((question, answered))
                writer.write(wire.packed(self.secret, {**await answered, "n": question.get("n")}))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # it went away, or this scorer stops: nobody to answer
        except wire.BadFrame as problem:
            log.warning("a connection was closed", extra={"why": str(problem)})
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _work(self, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MOST_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            questions = [one for one, _ in batch]
            try:
                answers = await loop.run_in_executor(self._one_thread, answer, questions)
            except (
                Exception
            ):  # whatever the model's library raises: an error is an answer that admits nothing
                log.exception("a batch could not be scored")
                answers = [{"error": "the texts could not be scored"} for _ in batch]
            for (_, answered), found in zip(batch, answers, strict=True):
                if not answered.done():
                    answered.set_result(found)


def _make_way(path: Path) -> None:
    """The folder is the owner's alone, and a socket that nobody serves any more is removed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{path.parent} belongs to somebody else")
    if path.exists():
        try:
            addresses.connected(f"unix:{path}", 1).close()
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise FileExistsError(f"a scorer already listens at {path}")


def _bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # readable and writable by its owner alone, from its first moment
    try:
        made.bind(str(path))
    finally:
        os.umask(mask)
    return made

"""Asking a scorer, with a deadline: connections are kept, several scorers take turns, a hung one is left behind.

Standard library only, since every web process imports it.
"""

import contextlib
import itertools
import secrets
import socket
import threading
import time
from collections import defaultdict, deque

from safety.scorer import addresses, wire

KEPT = 32  # idle connections to each scorer


class Unanswered(Exception):
    """No scorer answered in time, or none with an answer that can be believed; the message says what was tried."""


class Scorers:
    """The scorers of an installation. Threads may share it; a connection serves one question at a time."""

    def __init__(self, places: list[str], secret: bytes, deadline_s: float) -> None:
        self.places, self.secret, self.deadline_s = places, secret, deadline_s
        self._turns = itertools.cycle(range(max(1, len(places))))
        self._idle: dict[str, deque[socket.socket]] = defaultdict(deque)
        self._lock = threading.Lock()

    def begin(self, message: dict) -> "Question":
        """Send a question and go on; `Question.answer` waits for what is left of its time."""
        return Question(self, message)

    def ask(self, message: dict) -> dict:
        """The answer; raises Unanswered."""
        return self.begin(message).answer()

    def in_turn(self) -> list[str]:
        """Every scorer, beginning with another one each time."""
        with self._lock:
            first = next(self._turns)
        return self.places[first:] + self.places[:first]

    def take(self, place: str, timeout_s: float) -> tuple[socket.socket, bool]:
        """A connection, and whether it is an old one, whose scorer may have gone meanwhile."""
        with self._lock:
            if self._idle[place]:
                return self._idle[place].pop(), True
        return addresses.connected(place, timeout_s), False

    def give_back(self, place: str, connection: socket.socket) -> None:
        with self._lock:
            if len(self._idle[place]) < KEPT:
                self._idle[place].append(connection)
                return
        connection.close()

    def forget(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle = [one for kept in self._idle.values() for one in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()


class Question:
    """One question under way. Its deadline runs from the moment it was made."""

    def __init__(self, scorers: Scorers, message: dict) -> None:
        self._scorers = scorers
        self._number = secrets.token_hex(8)
        self._frame = wire.packed(scorers.secret, {**message, "n": self._number})
        self._ends_at = time.monotonic() + scorers.deadline_s
        self._places = deque(scorers.in_turn())
        self._tried: list[str] = []
        self._place = ""
        self._connection: socket.socket | None = None
        self._old = False
        self._send_somewhere()

    def answer(self) -> dict:
        """The answer; raises Unanswered. A scorer that fails is followed by the next one."""
        while self._connection is not None:
            try:
                found = self._read()
            except (OSError, wire.BadFrame) as problem:
                self._failed(problem)
                continue
            self._scorers.give_back(self._place, self._connection)
            self._connection = None
            return found
        raise Unanswered("; ".join(self._tried) or "no scorer is named")

    def abandon(self) -> None:
        """The answer isn't wanted any more."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send_somewhere(self) -> None:
        while self._places and self._connection is None:
            self._place = self._places.popleft()
            try:
                self._connection, self._old = self._scorers.take(self._place, self._share())
                self._connection.settimeout(self._share())
                self._connection.sendall(self._frame)
            except (OSError, addresses.BadAddress) as problem:
                self._failed(problem)

    def _failed(self, problem: Exception) -> None:
        """Close it; try the same scorer anew where the connection was an old one, else the next."""
        with contextlib.suppress(AttributeError, OSError):
            self._connection.close()
        if self._old and self._connection is not None and self._left() > 0 and not _late(problem):
            self._places.appendleft(self._place)
        else:
            self._tried.append(f"{self._place}: {type(problem).__name__}")
        self._connection, self._old = None, False
        self._send_somewhere()

    def _read(self) -> dict:
        ends_at = time.monotonic() + self._share()
        head = self._exactly(wire.HEAD.size, ends_at)
        message = wire.unpacked(self._scorers.secret, head, self._exactly(wire.length(head), ends_at))
        if message.get("n") != self._number:
            raise wire.BadFrame("an answer to another question")
        return message

    def _exactly(self, count: int, ends_at: float) -> bytes:
        found = bytearray()
        while len(found) < count:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("the deadline is over")
            self._connection.settimeout(left)
            chunk = self._connection.recv(count - len(found))
            if not chunk:
                raise ConnectionResetError("it hung up")
            found += chunk
        return bytes(found)

    def _left(self) -> float:
        return self._ends_at - time.monotonic()

    def _share(self) -> float:
        """Seconds for the scorer at hand, so that one that hangs leaves time for the others."""
        return max(0.001, self._left() / (len(self._places) + 1))


def _late(problem: Exception) -> bool:
    return isinstance(problem, TimeoutError)

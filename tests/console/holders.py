"""Processes that use the embedded servers of a home, for tests that end them in rude ways."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from console.embedded import state
from console.embedded.state import command_line

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, os, sys
from console import embedded
try:
    servers = embedded.ensure("a test", lambda line: print(line, file=sys.stderr))
except embedded.EmbeddedError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
found = {"started_here": servers.started_here, "sentence": servers.sentence()}
found |= {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
print(json.dumps(found), flush=True)
for order in sys.stdin:
    if order.strip() == "revive":
        print(json.dumps({"revived": embedded.revive(servers, "a test")}), flush=True)
"""


class Holder:
    """A process that found or started the servers and keeps them until it ends."""

    living: ClassVar[list["Holder"]] = []

    def __init__(
        self, home: Path, python: str = sys.executable, cwd: Path = PROJECT, **popen: object
    ) -> None:
        self.home = home
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        environment = kept | {"BACKLOT_HOME": str(home)} | popen.pop("env", {})
        self.process = subprocess.Popen(
            [python, "-c", PROGRAM],
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **popen,
        )
        self.living.append(self)

    def found(self) -> dict:
        """What it says once the servers answer."""
        line = self.process.stdout.readline()
        assert line, f"the holder ended with {self.process.wait()}"
        return json.loads(line)

    def order(self, word: str) -> dict:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.found()

    def leave(self) -> int:
        """End in an orderly way, which waits for the servers where it is their last user."""
        self.process.stdin.close()
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        return status

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def end_those_left() -> None:
    """After a test that failed half-way: the next one is to find its home free."""
    for holder in Holder.living:
        if holder.process.poll() is None:
            before = pids(holder.home) if state.path_of(holder.home).exists() else {}
            holder.kill()
            seconds_until_gone(before, 10)
    Holder.living.clear()


def pids(home: Path) -> dict[str, int]:
    """The processes that the state file names."""
    found = json.loads((home / "run" / "services.json").read_text())
    return {"keeper": found["keeper"]} | {name: server["pid"] for name, server in found["servers"].items()}


def alive(processes: dict[str, int]) -> set[str]:
    """The names of those that run (an ended one that nobody has collected yet does not)."""
    return {name for name, pid in processes.items() if _runs(pid)}


def _runs(pid: int) -> bool:
    """On Linux an ending process loses its command line before it lets go of its locks: its state tells."""
    if sys.platform != "linux":
        return bool(command_line(pid))
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def seconds_until_gone(processes: dict[str, int], limit_s: float) -> float:
    began = time.monotonic()
    while alive(processes):
        assert time.monotonic() - began < limit_s, f"{alive(processes)} still run after {limit_s} s"
        time.sleep(0.02)
    return time.monotonic() - began

"""Which processes make a running Backlot, and how each is started."""

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FEW_SLOTS = 4
UVICORN_LOGS = PROJECT / "console" / "uvicorn-logs.json"


@dataclass(frozen=True)
class Program:
    """A process to keep running: its name before each line, its command, what it sees in the environment."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def surroundings(self) -> dict[str, str]:
        """The environment of the process."""
        own = {"PYTHONUNBUFFERED": "1", "BACKLOT_PROCESS": self.name, **self.environment}
        return {**os.environ, **own}


def web(port: int) -> Program:
    command = ["-m", "uvicorn", "console.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--http", "console.slow_clients:Patient", "--loop", "console.shared_port:Loop"]
    command += ["--timeout-graceful-shutdown", "5", "--log-config", str(UVICORN_LOGS), "--no-access-log"]
    # The header tells another `serve` on this port that it has met Backlot.
    command += ["--no-server-header", "--header", "server:backlot"]
    # Requests pass through many threads; an arena of memory for each would hold on to what streams leave behind.
    return Program("web", (sys.executable, *command), {"MALLOC_ARENA_MAX": "1"})


def celery(name: str, *arguments: str) -> Program:
    # In a container we may well be root; Celery's warning of it fills eight lines of each worker's start.
    command = ["-W", "ignore:You're running the worker with superuser privileges", "-m", "celery", "--quiet"]
    return Program(name, (sys.executable, *command, "-A", "console.celery", *arguments, "--loglevel=INFO"))


def worker(queue: str, slots: int) -> Program:
    """A Celery worker of one queue. Threads, so that a model stays in the process and pings are answered."""
    place = ("worker", "-Q", queue, "-n", f"{queue}@%h", "--pool=threads", "-c", str(slots))
    program = celery(queue, *place, "--without-gossip", "--without-mingle")
    if slots <= FEW_SLOTS or "DATABASE_POOL" in os.environ:
        return program
    # A stream has up to two connections, one of them beside the engine; the default is for a few.
    return replace(program, environment={"DATABASE_POOL": str(2 * slots + 4)})


def beat(home: Path) -> Program:
    """The clock. A process of its own: inside a worker it would be a fork that nobody restarts."""
    return celery("beat", "beat", "-s", str(home / "run" / "beat-schedule"), "--pidfile=")


def scorer(number: int, address: str) -> Program:
    """A process that scores texts; one for each address of this machine's own that the settings name."""
    name = "scorer" if number == 1 else f"scorer-{number}"
    return Program(name, (sys.executable, str(PROJECT / "manage.py"), "scorer", address))


def scorers(addresses: list[str]) -> list[Program]:
    """Those with a unix socket: a scorer of the network is started where it is."""
    own = [address for address in addresses if address.startswith("unix:")]
    return [scorer(number, address) for number, address in enumerate(own, 1)]


def all_programs(port: int, home: Path, scorer_addresses: list[str]) -> list[Program]:
    """Web, the scorers of texts, a worker per pool, upkeep, and the beat that sends upkeep its work."""
    workers = [worker("clips", 1), worker("code", 2), worker("upkeep", 2)]
    return [web(port), *scorers(scorer_addresses), *workers, beat(home)]

"""Finding or starting the embedded servers, from any process that needs them."""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from console.embedded import postgres, state, valkey
from console.embedded.errors import EmbeddedError
from console.embedded.locks import FileLock, is_held

PROJECT = Path(__file__).resolve().parents[2]
VARIABLES = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}
TITLES = {"postgres": "PostgreSQL", "valkey": "Valkey"}
ANSWERS = {"postgres": postgres.answers, "valkey": valkey.answers}
WAIT_SECONDS = 90


@dataclass
class Servers:
    """This process's use of the embedded servers; they last at least until `leave()` or its end."""

    home: Path
    found: state.State
    started_here: bool
    _users: FileLock = field(repr=False)
    _pid: int = field(default_factory=os.getpid, repr=False)

    def sentence(self) -> str:
        """What a person at the terminal wants to know."""
        servers = self.found.servers.items()
        names = " and ".join(f"{TITLES[name]} {server.version}" for name, server in servers)
        if self.started_here:
            return f"{names} started, data in {self.home}"
        return f"{names} found running in {self.home} (started by {self.found.started_by})"


_mine: Servers | None = None
_keepers: list[subprocess.Popen] = []  # kept, so that an ended one is collected and none is warned about


def home_folder() -> Path:
    """BACKLOT_HOME, or `var` in the project folder."""
    return Path(os.environ.get("BACKLOT_HOME") or PROJECT / "var").expanduser().resolve()


def ensure(started_by: str, say: Callable[[str], None] = lambda line: None) -> Servers | None:
    """Set DATABASE_URL and REDIS_URL to living servers; None where the environment names both already.

    The servers last until `leave()` or the end of this process. Call it from the main thread before Django
    reads its settings.

    Errors: EmbeddedError with what to do.
    """
    global _mine
    missing = [name for name, variable in VARIABLES.items() if not os.environ.get(variable)]
    if not missing or (_mine is not None and _mine._pid == os.getpid()):
        return _mine
    home = home_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "run").mkdir(exist_ok=True)
        _mine = _join(home, started_by, missing)
    except PermissionError as error:
        where = error.filename or home
        raise EmbeddedError(
            f"{where} belongs to another user: start Backlot as that user, or set BACKLOT_HOME"
        ) from error
    for name in missing:
        os.environ[VARIABLES[name]] = _mine.found.servers[name].url
    say(_mine.sentence())
    atexit.register(leave)
    return _mine


def leave() -> None:
    """Stop using the servers. The last one to leave waits until they have stopped."""
    global _mine
    mine, _mine = _mine, None
    if mine is None or mine._pid != os.getpid():  # a forked child is no user
        return
    for name, server in mine.found.servers.items():
        if os.environ.get(VARIABLES[name]) == server.url:
            del os.environ[VARIABLES[name]]
    if mine._users.alone():
        # Newcomers wait at the lock until the keeper is gone, and then start their own.
        _ask_to_stop(mine.home)
    mine._users.drop()
    for keeper in _keepers:
        keeper.poll()


def revive(mine: Servers, started_by: str) -> bool:
    """Start a keeper where the last one was killed, on the same ports, so that the URLs stay good.

    False where one lives. For a process that outlasts its servers, the supervisor.
    """
    if is_held(mine.home / "run" / "services.keeper"):
        return False
    gate = FileLock(mine.home / "run" / "services.starting")
    if not gate.wait_alone(WAIT_SECONDS):
        raise EmbeddedError(
            f"another process has been starting the servers of {mine.home} for {WAIT_SECONDS} s"
        )
    try:
        names = list(mine.found.servers)
        mine.found = _living(mine.home, names) or _start(mine.home, started_by, names)
    finally:
        gate.drop()
    for name, server in mine.found.servers.items():
        os.environ[VARIABLES[name]] = server.url
    return True


def _ask_to_stop(home: Path) -> None:
    """Only the last user may: then no new keeper can start, and the written process id is the keeper's."""
    found, end = state.read(home), time.monotonic() + 12
    if found is None or not is_held(home / "run" / "services.keeper"):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.keeper, signal.SIGTERM)
    while is_held(home / "run" / "services.keeper") and time.monotonic() < end:
        time.sleep(0.02)


def _join(home: Path, started_by: str, names: list[str]) -> Servers:
    """One at a time: use what runs, else start it."""
    gate = FileLock(home / "run" / "services.starting")
    if not gate.wait_alone(WAIT_SECONDS):
        raise EmbeddedError(f"another process has been starting the servers of {home} for {WAIT_SECONDS} s")
    users = FileLock(home / "run" / "services.users")
    try:
        end = time.monotonic() + WAIT_SECONDS
        while not users.shared():  # the last user is leaving, the servers are stopping
            if time.monotonic() > end:
                raise EmbeddedError(f"the servers of {home} do not finish stopping")
            time.sleep(0.05)
        found = _living(home, names)
        started_here = found is None
        if found is None:
            found = _start(home, started_by, names)
    except BaseException:
        users.drop()
        raise
    finally:
        gate.drop()
    return Servers(home, found, started_here, users)


def _living(home: Path, names: list[str]) -> state.State | None:
    """The running servers, None where no keeper lives."""
    keeper_lock = home / "run" / "services.keeper"
    end = time.monotonic() + WAIT_SECONDS
    while is_held(keeper_lock):
        found = state.read(home)
        if found is not None:
            missing = [TITLES[name] for name in names if name not in found.servers]
            if missing:
                raise EmbeddedError(
                    f"the servers that run in {home} (started by {found.started_by}) are without "
                    f"{' and '.join(missing)}: stop that process first, or set {VARIABLES[names[0]]}"
                )
            if all(ANSWERS[name](found.servers[name].url) for name in names):
                return found
        if time.monotonic() > end:
            raise EmbeddedError(f"the servers of {home} run but do not answer; see {home / 'logs'}")
        time.sleep(0.1)
    return None


def _start(home: Path, started_by: str, names: list[str]) -> state.State:
    """Start a keeper and wait for its one line."""
    log_path = home / "logs" / "keeper.log"
    log_path.parent.mkdir(exist_ok=True)
    who = f"{started_by}, pid {os.getpid()}"
    with log_path.open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "console.embedded.keeper", str(home), who, *names],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C at the terminal is for us; the servers stop after us
        )
    with keeper.stdout as pipe:
        line = pipe.readline()
    if not line.strip():
        raise EmbeddedError(f"the keeper ended with {keeper.wait()}; see {log_path}")
    fields = json.loads(line)
    if "error" in fields:
        keeper.wait()
        raise EmbeddedError(fields["error"])
    _keepers.append(keeper)
    found = state.read(home)
    if found is None:
        raise EmbeddedError(f"the keeper wrote no state; see {log_path}")
    return found

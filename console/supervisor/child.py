"""One running process of a program, and its lines."""

import contextlib
import os
import signal
import subprocess
import time

from console.embedded.parenthood import end_with_parent
from console.supervisor.programs import PROJECT, Program

CHUNK = 65_536
LONGEST_LINE = 1_000_000


class Child:
    """Started at once. Its stdout and stderr are one pipe, read without blocking."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.started_at = time.monotonic()
        self._rest = b""
        self.process = subprocess.Popen(
            program.command,
            cwd=PROJECT,
            env=program.surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Not SIGTERM: when the supervisor was killed, the servers that a drain needs are going away too.
            preexec_fn=end_with_parent(signal.SIGKILL),
        )
        self.pipe = self.process.stdout
        os.set_blocking(self.pipe.fileno(), False)

    def lines(self) -> list[str]:
        """The lines that have come since the last call."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.pipe.fileno(), CHUNK):
                self._rest += chunk
                if len(chunk) < CHUNK:
                    break
        *whole, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LONGEST_LINE:  # no newline in a megabyte: show it rather than hoard it
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode(errors="replace").rstrip("\r") for line in whole]

    def last_line(self) -> list[str]:
        """What came without a newline before the end."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        if self.status is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Kill what is left of its session, forked helpers included, and close the pipe."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.pipe.close()

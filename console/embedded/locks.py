"""Record locks on files: the kernel drops them when their process ends, and a forked child gets none."""

import fcntl
import os
import time
from pathlib import Path


class FileLock:
    """One POSIX record lock on one file, held by this process.

    A process drops its record locks on a file when it closes *any* descriptor of it, so a process must not
    open the same lock file twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def shared(self) -> bool:
        """Take it beside other shared holders; False where someone holds it alone."""
        return self._take(fcntl.LOCK_SH)

    def alone(self) -> bool:
        """Take it alone (or turn the shared hold into it); False where anyone else holds it."""
        return self._take(fcntl.LOCK_EX)

    def wait_alone(self, seconds: float) -> bool:
        """Take it alone, trying for so long."""
        end = time.monotonic() + seconds
        while not self.alone():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def drop(self) -> None:
        """Let go, and close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self, kind: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows either answer for "held by another"
            return False
        return True


def is_held(path: Path) -> bool:
    """Whether another process holds the lock. Not for a lock that this process holds."""
    if not path.exists():
        return False
    probe = FileLock(path)
    try:
        return not probe.alone()
    finally:
        probe.drop()

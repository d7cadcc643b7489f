"""A scorer of the test run's own."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from console.embedded.parenthood import end_with_parent
from console.supervisor.programs import PROJECT
from safety.scorer.client import Scorers, Unanswered

START_S = 120.0
PATIENCE_MS = 60_000  # a test machine may be busy; what happens past a deadline has tests of its own


@contextmanager
def of_this_run() -> Iterator[None]:
    """Started at once and not waited for, at an address that no other run has; `ready` waits."""
    with tempfile.TemporaryDirectory(prefix="backlot-tests-") as folder:
        settings.SCORERS = [f"unix:{Path(folder) / 'scorer.sock'}"]
        settings.SCORER_DEADLINE_MS = PATIENCE_MS
        with process(settings.SCORERS[0]):
            yield


@contextmanager
def process(address: str) -> Iterator[subprocess.Popen]:
    """A scorer at this address. The kernel ends it with the run, should that be killed."""
    command = [sys.executable, str(PROJECT / "manage.py"), "scorer", address]
    running = subprocess.Popen(command, cwd=PROJECT, preexec_fn=end_with_parent(signal.SIGTERM))
    try:
        yield running
    finally:
        running.send_signal(signal.SIGCONT)
        running.terminate()
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def ready(address: str | None = None, within_s: float = START_S) -> None:
    """Return once the scorer answers; raises where it doesn't in time."""
    asked = Scorers([address or settings.SCORERS[0]], settings.SCORER_SECRET.encode(), within_s)
    ends_at = time.monotonic() + within_s
    while True:
        try:
            asked.ask({"op": "health"})
            return
        except Unanswered:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.05)

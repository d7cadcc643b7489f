"""A scorer of a benchmark's own, as `serve` starts it: without one nothing is admitted."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from console.supervisor.programs import PROJECT
from safety.scorer.client import Scorers, Unanswered

STARTS_WITHIN_S = 120


@contextmanager
def scoring() -> Iterator[None]:
    """For this process and those that it starts."""
    before = settings.SCORERS
    with tempfile.TemporaryDirectory(prefix="backlot-bench-") as folder:
        os.environ["SCORERS"] = address = f"unix:{Path(folder) / 'scorer.sock'}"
        settings.SCORERS = [address]
        running = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), "scorer", address], cwd=PROJECT
        )
        try:
            _wait()
            yield
        finally:
            running.terminate()
            running.wait(timeout=30)
            del os.environ["SCORERS"]
            settings.SCORERS = before


def _wait() -> None:
    asked = Scorers(settings.SCORERS, settings.SCORER_SECRET.encode(), 10)
    ends_at = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            asked.ask({"op": "health"})
            return
        except Unanswered:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.1)

"""The servers that a test run uses, chosen before Django reads its settings."""

import os
import sys
import time
from pathlib import Path

from console import embedded
from console.embedded.client import home_folder
from console.embedded.locks import FileLock

_run_lock: list[FileLock] = []


def prepare() -> None:
    """Set the environment so that Django's settings can be read: a home of the tests' own, and both URLs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    # A folder of its own even where the environment names a home: that one may serve, and tests empty its Redis.
    home = home_folder() / "test"
    os.environ["BACKLOT_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)
    if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        _be_the_only_run(home)
    embedded.ensure("the tests")


def sentence() -> str:
    """For the head of the report; URLs hold passwords, so only what stands behind the @."""
    places = [os.environ[name].rpartition("@")[2] for name in ("DATABASE_URL", "REDIS_URL")]
    return f"servers: PostgreSQL {places[0]}, Redis {places[1]}; home {os.environ['BACKLOT_HOME']}"


def _be_the_only_run(home: Path) -> None:
    """Two runs in one home would share one test database and destroy each other's."""
    (home / "run").mkdir(exist_ok=True)
    lock = FileLock(home / "run" / "tests")
    _run_lock.append(lock)
    told = False
    while not lock.alone():
        if not told:
            sys.stderr.write(f"another test run uses {home}; waiting for it to end\n")
            told = True
        time.sleep(0.5)

"""Clients killed with -9, a database stopped at once, a crash at every commit: what was answered stands, once.

Each run has a PostgreSQL cluster of its own (tests/faults/hammer). BACKLOT_HAMMER_OPERATIONS sets the size of the long
form, a million unless it is set.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.live import PROJECT

pytestmark = pytest.mark.faults

SHORT, LONG = 20_000, int(os.environ.get("BACKLOT_HAMMER_OPERATIONS", "1000000"))


def hammer(*arguments: str) -> dict:
    """A run and its verdict."""
    command = [sys.executable, "-m", "tests.faults.hammer", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-4000:]
    verdict = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(json.dumps(verdict, indent=1) + "\n")  # for the report of a failure, and with -s
    return verdict


@pytest.mark.parametrize("operations", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_nothing_answered_is_lost_or_doubled(operations):
    verdict = hammer("--operations", str(operations))
    assert verdict["course"]["problems"] == []
    assert verdict["answered"] >= operations
    assert {name: verdict[name] for name in ("unanswered", "lost", "duplicated", "broken")} == {
        "unanswered": 0,
        "lost": 0,
        "duplicated": 0,
        "broken": 0,
    }, verdict["named"]
    assert verdict["course"]["kills"] >= 10
    assert verdict["stops"] >= 1


def test_a_crash_at_every_commit_of_the_money_paths_converges():
    verdict = hammer("--crash-points")
    assert verdict["named"] == []
    assert verdict["clean"]
    # Every path commits at least once, and buying in several steps.
    assert min(verdict["commits"].values()) >= 1
    assert verdict["commits"]["buy"] >= 4

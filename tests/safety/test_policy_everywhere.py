"""A change of policy is in force at the next scan and request in processes that run already, and ends there too."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from accounts import actions
from accounts.actions import Action
from accounts.models import AuditEntry, User
from safety.policy.actions import ChangeScanPolicy, ChangeThreshold
from safety.policy.rule_actions import AddRule
from tests.committed import committed
from tests.safety.clips import encoded
from tests.safety.policy_stage import guardian

pytestmark = pytest.mark.django_db
PROJECT = Path(__file__).resolve().parents[2]
WORKER = """
import json, sys
import django
from django.conf import settings
settings.SAFETY_GATES = ["tests.safety.policy_stage.Light"]
django.setup()
from safety.postfilter.scan import scan_file
from safety.prefilter.rules import live_rules
from django.db import connection
print("ready", flush=True)
for line in sys.stdin:
    path, text = json.loads(line)
    scan = scan_file(path, "job", 1, 6)
    row = scan.verdicts.filter(frame_class="violence").first()
    hit = live_rules("clip").first_hit((text,))
    version = row.threshold_version if row else ""
    print(json.dumps([scan.verdict, version, hit.category if hit else None]), flush=True)
    connection.close()
"""


class Worker:
    """A process that scans and screens when it is told to."""

    def __init__(self) -> None:
        settings = connection.settings_dict
        address = (
            f"postgresql://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}"
            f"/{settings['NAME']}"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=PROJECT,
            env={**os.environ, "DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "console.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, path: Path, text: str) -> tuple:
        self.process.stdin.write(json.dumps([str(path), text]) + "\n")
        self.process.stdin.flush()
        return tuple(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)


@pytest.fixture
def _django_db_helper(workers):
    """The mark makes pytest-django set up the test database; this test commits, as other processes have to see."""


@pytest.fixture
def workers(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        started = [Worker(), Worker()]
        for worker in started:
            assert worker.process.stdout.readline() == "ready\n"
        yield started
        for worker in started:
            worker.end()


def perform(action: Action, user: User, seconds: int | None = None) -> AuditEntry:
    expires_at = timezone.now() + timedelta(seconds=seconds) if seconds else None
    return actions.perform(action, user, "a test", expires_at)


def test_a_change_counts_at_the_next_job_in_every_worker_and_ends_by_itself(workers, tmp_path):
    frames = np.zeros((6, 64, 64, 3), np.uint8)
    frames[:, 48:, :32] = 128  # a light of one half in the class violence
    path = tmp_path / "clip.mp4"
    path.write_bytes(encoded(frames))
    text, user = "three lanterns at dawn", guardian()

    def answers() -> set[tuple]:
        return {worker.ask(path, text) for worker in workers}

    assert answers() == {("pass", "1", None)}
    lowered = perform(ChangeThreshold("violence", "block_score", 0.4), user)
    added = perform(AddRule(r"\blanterns\b", "deception", ("clip",)), user)
    assert answers() == {("block", f"1+o{lowered.undo['override']}", "deception")}
    actions.revert(ChangeThreshold.of_entry(lowered), lowered, user, "enough")
    actions.revert(AddRule.of_entry(added), added, user, "enough")
    assert answers() == {("pass", "1", None)}
    held = perform(ChangeScanPolicy("violence", "violence", "everything"), user, seconds=30)
    timed = perform(AddRule(r"\blanterns\b", "violence", ("clip",)), user, seconds=6)
    assert answers() == {("review", f"1; scans 1+o{held.undo['override']}", "violence")}
    time.sleep(max(0.0, (_end(timed) - timezone.now()).total_seconds()) + 0.1)
    assert {answer[2] for answer in answers()} == {None}


def _end(entry: AuditEntry) -> datetime:
    return datetime.fromisoformat(entry.after["expires_at"])

"""Evaluations that begin by themselves: the beat asks each night what is due. And what is left of old ones."""

import os
import subprocess
import sys
from datetime import datetime, timedelta

from django.conf import settings
from django.core.files.storage import default_storage

from generation.evaluation.case_records import EvaluationRun, runs_with_clips

EVERY = timedelta(days=6, hours=12)  # of the weekly one; the beat asks at the same time each night
NICENESS = 15  # customers come first
ONLINE_CLIPS = 50
FOLDER = "evaluations"

_started: list[subprocess.Popen] = []  # kept, so that an ended one is collected


def weekly_due(now: datetime) -> bool:
    """Whether the full weekly run was interrupted, or the newest began long enough ago."""
    full = EvaluationRun.objects.filter(suite=EvaluationRun.Suite.WEEKLY, short=False)
    newest = full.order_by("-pk").first()
    if newest is None or newest.state == EvaluationRun.State.RUNNING:
        return True
    return newest.started_at <= now - EVERY


def start(now: datetime) -> list[subprocess.Popen]:
    """Begin what is due, each in a process of its own; none where the settings leave it to the operator.

    Nobody waits for them: what they find is stored, and what goes wrong is an event. Of two weekly evaluations at
    once the second ends by itself.
    """
    _started[:] = [one for one in _started if one.poll() is None]
    if not settings.EVALUATE_REGULARLY:
        return []
    begun = [_begin("online", f"--n={ONLINE_CLIPS}")]
    if weekly_due(now):
        begun.append(_begin("weekly", "--resume"))
    _started.extend(begun)
    return begun


def _begin(*arguments: str) -> subprocess.Popen:
    logs = settings.HOME / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"evaluations-{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, settings.BASE_DIR / "manage.py", "evals", *arguments],
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    return process


def forget_clips() -> int:
    """Delete the files of evaluations that are too old to be labelled; how many. Figures and labels stay."""
    try:
        folders, _ = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return 0  # no evaluation has kept a clip yet
    kept = {str(pk) for pk in runs_with_clips().values_list("pk", flat=True)}
    gone = 0
    for folder in sorted(set(folders) - kept):
        _, files = default_storage.listdir(f"{FOLDER}/{folder}")
        for name in files:
            default_storage.delete(f"{FOLDER}/{folder}/{name}")
        default_storage.delete(f"{FOLDER}/{folder}")
        gone += len(files)
    return gone

"""A worker that starts clears away what killed ones left, and nothing of anybody who is still at it."""

import pytest
from django.conf import settings
from django.db.models.functions import Now

from generation.models import Attempt, Job
from generation.worker import leftovers
from tests.generation.api_stage import tenant
from tests.generation.queueing import claim, idle_worker, submit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.CHECKPOINT_ROOT = tmp_path / "checkpoints"
    settings.WORK_ROOT = tmp_path / "work"


def leave(attempt: Attempt) -> tuple:
    """Its checkpoint and its work folder, as it leaves them when it is killed."""
    checkpoint = settings.CHECKPOINT_ROOT / str(attempt.job_id) / str(attempt.fence)
    work = settings.WORK_ROOT / f"{attempt.fence}-x7"
    for folder in (checkpoint, work):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"frames")
    return checkpoint, work


def test_only_what_is_over_goes():
    tenants = tenant("plus"), tenant("pro")
    for one in tenants:
        submit(one)
    ended, lives = claim(idle_worker()), claim(idle_worker())
    gone, stays = leave(ended), leave(lives)
    strange = [
        settings.CHECKPOINT_ROOT / "notes",
        settings.WORK_ROOT / "gate-abc",
        settings.WORK_ROOT / "99-unknown",
    ]
    for folder in strange:
        folder.mkdir()
    Attempt.objects.filter(pk=ended.pk).update(ended_at=Now(), outcome="failed")
    # An attempt that is over clears its own work; the checkpoints of a job that waits for the next one stay.
    assert leftovers.clear() == [gone[1].name]
    assert gone[0].exists()
    Job.objects.filter(pk=ended.job_id).update(state="failed", state_cause="test")
    assert leftovers.clear() == [str(ended.job_id)]
    assert not gone[0].parent.exists()
    assert all(folder.exists() for folder in (*stays, *strange))


def test_nothing_is_there_yet():
    assert leftovers.clear() == []

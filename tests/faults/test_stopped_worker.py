"""A worker stopped for longer than its lease (SIGSTOP, as a frozen machine): another takes over, and what wakes up can
write nothing: no state, no file that is delivered, no charge, no checkpoint. It goes on taking jobs afterwards."""

import os
import signal
import time

import pytest

from tests.faults.clip_workers import ClipWorkers
from tests.faults.conftest import Service

pytestmark = pytest.mark.faults

FIELDS = {"prompt": "a blue square moves right over sand", "seed": 11}
SHORT_LEASE_S = 5
ATTEMPT = """SELECT outcome, step, stage, checkpoints, preview, gpu_ms, ended_at, lease_expires_at
               FROM generation_attempt WHERE job_id = %s ORDER BY fence LIMIT 1"""
# For 90 s under the leases that ship, or for longer than a short one.
SECONDS = pytest.mark.parametrize("seconds", [8, pytest.param(90, marks=pytest.mark.long)])


@pytest.fixture
def workers(service):
    workers = ClipWorkers(service)
    yield workers
    workers.stop()


def stopped_at(
    service: Service, workers: ClipWorkers, seconds: int, moment: str, step: int = 0
) -> tuple[dict, int]:
    """A clip whose worker stopped at a moment and was left so for so long, and that worker's pid. Others have it."""
    pid = workers.halting(moment, step=step, with_signal="STOP")
    clip = service.submit(**FIELDS)
    workers.stopped(pid)
    if seconds < 90:
        workers.forget(clip, SHORT_LEASE_S)
    workers.others_take_over()
    time.sleep(seconds)
    job = service.job_id(clip["id"])
    service.until("SELECT 1 FROM generation_attempt WHERE job_id = %s AND outcome = 'lost'", job)
    service.until("SELECT 1 FROM generation_attempt WHERE job_id = %s HAVING count(*) > 1", job)
    return clip, pid


def files_of(service: Service, job: str, fence: int) -> dict[str, int]:
    """Checkpoint file → when it was written, of one attempt."""
    folder = service.live.home / "checkpoints" / job / str(fence)
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("step-*")}


def takes_jobs_again(service: Service, workers: ClipWorkers, pid: int) -> None:
    workers.take_over()
    clip = service.finished(service.submit(prompt="a green star falls over snow", seed=12))
    assert clip["status"] == "completed"
    assert [row[3] for row in service.attempts(clip)] == [pid]


@SECONDS
def test_stopped_while_it_denoises(service, workers, seconds):
    calm = workers.calm(**FIELDS)
    clip, pid = stopped_at(service, workers, seconds, "step", 19)
    job = service.job_id(clip["id"])
    before = service.row(ATTEMPT, job)
    (fence,) = service.row("SELECT min(fence) FROM generation_attempt WHERE job_id = %s", job)
    files = files_of(service, job, fence)
    os.kill(pid, signal.SIGCONT)
    clip = service.finished(clip)
    assert service.row(ATTEMPT, job) == before
    assert set(files_of(service, job, fence)) <= set(
        files
    )  # none for step 20; all are gone with the job's folder
    attempts = service.attempts(clip)
    assert [row[0] for row in attempts] == ["lost", "delivered"]
    # Whether it told of its last step before it stopped is a matter of moments.
    assert attempts[0][1] in (18, 19)
    assert attempts[0][2] == 0
    assert attempts[1][2] == 10
    assert attempts[1][3] != pid
    service.assert_as_calm(clip, calm)
    takes_jobs_again(service, workers, pid)


@pytest.mark.long
@SECONDS
def test_stopped_with_the_finished_file_in_its_hand(service, workers, seconds):
    """It wakes up just before it delivers, when the clip was delivered by another: its file is nobody's."""
    calm = workers.calm(**FIELDS)
    clip, pid = stopped_at(service, workers, seconds, "store")
    job = service.job_id(clip["id"])
    clip = service.finished(clip)
    before = service.row(ATTEMPT, job)
    written = service.row("SELECT count(*) FROM generation_jobevent WHERE job_id = %s", job)
    os.kill(pid, signal.SIGCONT)
    takes_jobs_again(service, workers, pid)
    assert service.row(ATTEMPT, job) == before
    assert service.row("SELECT count(*) FROM generation_jobevent WHERE job_id = %s", job) == written
    attempts = service.attempts(clip)
    assert [(row[0], row[2]) for row in attempts] == [("lost", 0), ("delivered", 50)]
    service.assert_as_calm(clip, calm)
    assert service.reconciles()

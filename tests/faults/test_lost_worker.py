"""kill -9 of the clip worker between two checkpoints: another finishes, and the clip is the very same."""

import os
import signal
import time

import pytest

pytestmark = pytest.mark.faults

CHECKPOINT_EVERY = 10
FIELDS = {"model": "pocket-video", "prompt": "a red ball rolling left over grass", "seed": 1234}


def kill_between_checkpoints(service, clip: str, after_step: int) -> int:
    """Kill -9 the process that runs the clip once it has passed `after_step`; the last step it had reported."""
    query = """SELECT a.step, w.pid FROM generation_attempt a JOIN generation_worker w ON w.id = a.worker_id
                WHERE a.job_id = %s AND a.ended_at IS NULL"""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        row = service.row(query, service.job_id(clip))
        if row and row[0] > after_step:
            os.kill(row[1], signal.SIGKILL)
            return service.row(
                "SELECT max(step) FROM generation_attempt WHERE job_id = %s", service.job_id(clip)
            )[0]
        time.sleep(0.005)
    raise AssertionError("the clip never got so far")


def test_kill_9_between_two_checkpoints(service):
    service.sql("UPDATE generation_registeredmodel SET lease_seconds = 5")
    calm = service.calm(**FIELDS)
    hit = service.submit(**FIELDS)
    killed_at = kill_between_checkpoints(service, hit["id"], after_step=12)
    hit = service.finished(hit)
    assert hit["status"] == "completed"

    job = service.job_id(hit["id"])
    attempts = service.rows(
        "SELECT outcome, step, resumed_from_step FROM generation_attempt WHERE job_id = %s ORDER BY fence",
        job,
    )
    assert [row[0] for row in attempts] == ["lost", "delivered"]
    resumed_from = attempts[1][2]
    assert resumed_from >= CHECKPOINT_EVERY
    assert 0 <= killed_at - resumed_from <= CHECKPOINT_EVERY
    assert hit["backlot"]["steps_run"] == hit["backlot"]["steps"] == 50

    service.assert_as_calm(hit, calm)
    assert service.reconciles()


def test_a_worker_told_to_stop_hands_back_and_another_goes_on(service):
    clip = service.submit(**FIELDS | {"seed": 99})
    query = """SELECT w.pid FROM generation_attempt a JOIN generation_worker w ON w.id = a.worker_id
                WHERE a.job_id = %s AND a.ended_at IS NULL AND a.step > 3"""
    deadline = time.monotonic() + 120
    while not (row := service.row(query, service.job_id(clip["id"]))):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(row[0], signal.SIGTERM)
    clip = service.finished(clip)
    assert clip["status"] == "completed"
    outcomes = service.rows(
        "SELECT outcome, step, resumed_from_step FROM generation_attempt WHERE job_id = %s ORDER BY fence",
        service.job_id(clip["id"]),
    )
    assert [row[0] for row in outcomes] == ["handed_back", "delivered"]
    assert outcomes[1][2] == outcomes[0][1]  # not one step twice
    failed = service.row(
        "SELECT attempts_failed FROM generation_job WHERE id = %s", service.job_id(clip["id"])
    )
    assert failed == (0,)

"""A disk that is full at a checkpoint, and a byte that flipped in one: the one before it is used, and it is told."""

import pytest

from tests.faults import outages
from tests.faults.clip_workers import HALTING, ClipWorkers

pytestmark = pytest.mark.faults

FIELDS = {"prompt": "a red ball rolls over water", "seed": 21}


@pytest.fixture
def workers(service):
    workers = ClipWorkers(service)
    yield workers
    workers.stop()


def test_a_full_disk_costs_safety_and_not_the_clip(service, workers):
    """From step 20 on nothing of a checkpoint fits (RLIMIT_FSIZE). The first worker is lost on top of that."""
    calm = workers.calm(**FIELDS)
    pid = workers.halting("step", step=35, FULL_FROM_STEP="20")
    clip = service.submit(**FIELDS)
    workers.dead(pid)
    job = service.job_id(clip["id"])
    kept = outages.newest_checkpoint(service.live, job)
    assert kept.name == "step-0010.safetensors"
    assert not list(kept.parent.glob(".*")), "half a file was left"
    told = service.events("checkpoint.failed", clip)
    assert [(severity, detail["step"] // 10) for severity, detail in told] == [("error", 2), ("error", 3)]
    workers.forget(clip)
    last = workers.start(HALTING, FULL_FROM_STEP="20")
    clip = service.finished(clip)
    attempts = service.attempts(clip)
    assert [(row[0], row[2], row[3]) for row in attempts] == [("lost", 0, pid), ("delivered", 10, last)]
    told = service.events("checkpoint.failed", clip)
    assert len(told) == 2 + 4  # of steps 20, 30, 40, 50
    assert all("too large" in detail["error"] for _, detail in told), told
    service.assert_as_calm(clip, calm)
    assert service.reconciles()


PLACES = [
    pytest.param(-1, id="in the tensors"),
    pytest.param(100, id="in the header", marks=pytest.mark.long),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_byte_is_refused_and_the_checkpoint_before_it_used(service, workers, place):
    calm = workers.calm(**FIELDS)
    pid = workers.halting("step", step=26)
    clip = service.submit(**FIELDS)
    workers.dead(pid)
    newest = outages.newest_checkpoint(service.live, service.job_id(clip["id"]))
    assert newest.name == "step-0020.safetensors"
    outages.flip_a_byte(newest, place)
    workers.forget(clip)
    workers.others_take_over()
    clip = service.finished(clip)
    attempts = service.attempts(clip)
    assert [(row[0], row[1], row[2]) for row in attempts] == [("lost", 25, 0), ("delivered", 50, 10)]
    (record,) = service.row(
        "SELECT refused_checkpoints FROM generation_attempt WHERE job_id = %s AND outcome = 'delivered'",
        service.job_id(clip["id"]),
    )
    reason = "step-0020.safetensors: corrupt: its bytes do not match the manifest's sha256"
    assert record == [reason]
    assert service.events("checkpoint.refused", clip) == [("warning", {"reason": reason})]
    service.assert_as_calm(clip, calm)

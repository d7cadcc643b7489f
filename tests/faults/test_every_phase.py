"""kill -9 of the clip worker in every phase of its work: the clip comes once, is charged once and is the very same.

The worker kills itself (halting_worker.py), so that the moment is exact: when a phase has done its work and nothing of
it has been noted, which is when most could be lost or done twice. Each clip loses two workers, in two phases.
"""

import itertools

import pytest

from tests.faults.clip_workers import ClipWorkers
from tests.faults.conftest import Service

pytestmark = pytest.mark.faults

CHECKPOINT_EVERY = 10
FIELDS = {"prompt": "a red ball moves left over grass", "seed": 7}
# (moment, step): the step that the worker had reported, and the one that its successor resumes from.
EXPECTED = {
    ("claimed", 0): (0, 0),
    ("encode_prompt", 0): (0, 0),
    ("load", 0): (0, 0),
    ("step", 17): (16, 10),
    ("writing", 20): (20, 10),
    ("written", 30): (30, 20),
    ("preview_scan", 0): (10, None),  # its checkpoint is landing beside
    ("decode", 0): (50, 50),
    ("encode", 0): (50, 50),
    ("scan", 0): (50, 50),
    ("sign", 0): (50, 50),
    ("store", 0): (50, 50),
}
PAIRS = [
    [("claimed", 0), ("encode_prompt", 0)],
    [("load", 0), ("step", 17)],
    [("writing", 20), ("written", 30)],
    [("preview_scan", 0), ("decode", 0)],
    [("encode", 0), ("scan", 0)],
    [("sign", 0), ("store", 0)],
]


@pytest.fixture
def workers(service):
    workers = ClipWorkers(service)
    yield workers
    workers.stop()


def hit(service: Service, workers: ClipWorkers, moments: list[tuple[str, int]]) -> dict:
    """A clip whose workers die one after another at these moments; as it is once the service's own has finished it."""
    pid = workers.halting(moments[0][0], step=moments[0][1])
    clip = service.submit(**FIELDS)
    for moment, step in moments[1:]:
        workers.dead(pid)
        workers.forget(clip)
        pid = workers.halting(moment, step=step)
    workers.dead(pid)
    workers.forget(clip)
    workers.others_take_over()
    return service.finished(clip)


def _name(pair: list[tuple[str, int]]) -> str:
    return "-".join(moment for moment, _ in pair)


# The short form takes the two pairs in which most could be lost: a checkpoint half written, a file half signed.
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(
            pair, id=_name(pair), marks=[] if pair[0][0] in ("writing", "sign") else pytest.mark.long
        )
        for pair in PAIRS
    ],
)
def test_kill_9_in_two_phases(service, workers, moments):
    calm = workers.calm(**FIELDS)
    clip = hit(service, workers, moments)
    attempts = service.attempts(clip)
    assert [row[0] for row in attempts] == ["lost", "lost", "delivered"]
    assert [row[1] for row in attempts[:2]] == [EXPECTED[moment][0] for moment in moments]
    for moment, after in zip(moments, attempts[1:], strict=True):
        assert EXPECTED[moment][1] in (None, after[2])
    for before, after in itertools.pairwise(attempts):
        assert 0 <= before[1] - after[2] <= CHECKPOINT_EVERY
    service.assert_as_calm(clip, calm)


def test_kill_9_just_before_the_delivery_is_committed(service, workers):
    calm = workers.calm(**FIELDS)
    clip = hit(service, workers, [("uncommitted", 0)])
    attempts = service.attempts(clip)
    assert [(row[0], row[2]) for row in attempts] == [("lost", 0), ("delivered", 50)]
    service.assert_as_calm(clip, calm)


@pytest.mark.long
def test_kill_9_just_after_the_delivery_is_committed(service, workers, house):
    """It stands; what the worker had no time to clear away, the next one to start does."""
    calm = workers.calm(**FIELDS)
    pid = workers.halting("delivered")
    clip = service.submit(**FIELDS)
    workers.dead(pid)
    clip = service.finished(clip)
    left = house.home / "checkpoints" / service.job_id(clip["id"])
    assert left.is_dir()
    assert [row[0] for row in service.attempts(clip)] == ["delivered"]
    service.assert_as_calm(clip, calm)
    workers.start()
    assert not left.exists()
    assert service.reconciles()

"""kill -9 of clip workers at random steps: whatever the moment, at most one checkpoint interval is redone, the clip is
the very same to the bit, and it is charged once."""

import itertools
import random
import time
from datetime import datetime

import pytest

from tests.faults.clip_workers import ClipWorkers
from tests.faults.conftest import PATIENCE_S, Service

pytestmark = pytest.mark.faults

CHECKPOINT_EVERY = 10
WORDS = ("red ball", "blue square", "green star", "yellow triangle")
RUNNING = """SELECT a.step, a.resumed_from_step, w.pid FROM generation_attempt a
               JOIN generation_worker w ON w.id = a.worker_id WHERE a.job_id = %s AND a.ended_at IS NULL"""


@pytest.fixture
def workers(service):
    service.sql("UPDATE generation_registeredmodel SET lease_seconds = 4 WHERE kind = 'clip'")
    workers = ClipWorkers(service)
    yield workers
    workers.stop()


@pytest.fixture
def free(service):
    """A customer of the free tier: fewer steps, and the low precision where the model has one."""
    free = Service(service.live, "free-demo")
    yield free
    free.close()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_kill_9_at_random_steps_changes_nothing_but_the_time(service, free, workers, kills):
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    for _ in range(2):
        workers.start()
    # One for each clip: until a second worker is there in its place, the other one has finished it.
    for number in range(kills):
        customer = (service, free)[number % 2]
        fields = {"prompt": f"a {WORDS[number % 4]} moves left over grass", "seed": seed + number}
        calm = customer.calm(**fields)
        hit = customer.submit(**fields)
        kill_at_a_random_step(customer, workers, hit, chance)
        workers.start()
        hit = customer.finished(hit)
        assert_little_was_redone(customer, hit)
        customer.assert_as_calm(hit, calm)
    assert service.reconciles()


def kill_at_a_random_step(service: Service, workers: ClipWorkers, clip: dict, chance: random.Random) -> None:
    """Kill the worker once it has passed a step drawn from those that it has before it."""
    step, target = 0, None
    deadline = time.monotonic() + PATIENCE_S
    while target is None or step < target:
        assert time.monotonic() < deadline, "the clip never got so far"
        row = service.row(RUNNING, service.job_id(clip["id"]))
        if row and row[2] in workers.running:
            step, resumed_from, pid = row
            if target is None and step > resumed_from:
                target = chance.randint(step, clip["backlot"]["steps"] - 1)
        time.sleep(0.003)
    workers.kill(pid)


def assert_little_was_redone(service: Service, hit: dict) -> None:
    attempts = service.attempts(hit)
    assert [row[0] for row in attempts][-1] == "delivered"
    lost = [row[0] for row in attempts].count("lost")
    assert lost == len(attempts) - 1 >= 1
    for before, after in itertools.pairwise(attempts):
        assert 0 <= before[1] - after[2] <= CHECKPOINT_EVERY, attempts


def test_one_worker_denoises_the_next_clip_while_it_finishes_the_last(service, workers):
    pid = workers.start()
    clips = [service.submit(prompt=f"a red ball rolls over sand, {n}", seed=n) for n in range(4)]
    for clip in clips:
        assert service.finished(clip)["status"] == "completed"
    jobs = [service.call("GET", f"/api/jobs/{clip['id']}") for clip in clips]
    assert {attempt[3] for clip in clips for attempt in service.attempts(clip)} == {pid}
    turns = sorted((spans_of(job) for job in jobs), key=lambda spans: spans["denoise"][0])
    for before, after in itertools.pairwise(turns):
        assert before["decode"][1] <= after["denoise"][0]  # the device is one clip's at a time
    overlaps = [after["denoise"][0] < before["store"][1] for before, after in itertools.pairwise(turns)]
    assert any(overlaps), turns


def spans_of(job: dict) -> dict[str, tuple[float, float]]:
    """Stage → (first start, last end), in seconds since some moment that all jobs share."""
    (attempt,) = job["attempts"]
    claimed = datetime.fromisoformat(attempt["started_at"]).timestamp()
    spans: dict[str, tuple[float, float]] = {}
    for span in attempt["trace"]:
        start, end = claimed + span["start_ms"] / 1000, claimed + span["end_ms"] / 1000
        spans[span["stage"]] = (spans.get(span["stage"], (start,))[0], end)
    return spans

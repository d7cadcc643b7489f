"""A machine's clock three hours off (libfaketime): leases and holds go by the database's, so nothing ends early and
nothing lives three hours too long. The database's own clock is right in all of these."""

import time

import pytest

from console.supervisor import programs
from tests.faults.clip_workers import CELERY, ClipWorkers
from tests.faults.conftest import Service
from tests.faults.stand_ins import moved, standing_in
from tests.live import free_port

pytestmark = pytest.mark.faults

LEASE_S = 30
# So much of a lost worker's lease is left to wait for.
LEFT_S = 3
# Between the end of a lease and the reaper's next round, on a machine that is busy.
REAPED_WITHIN_S = 30
HOLD = """SELECT state, expires_at - clock_timestamp() BETWEEN interval '6 days 22 hours' AND interval '7 days 2 hours'
            FROM billing_hold WHERE subject = %s"""
LEFT = """SELECT extract(epoch FROM lease_expires_at - clock_timestamp()) FROM generation_attempt
           WHERE job_id = %s AND ended_at IS NULL"""
LOST = "SELECT 1 FROM generation_attempt WHERE job_id = %s AND outcome = 'lost'"
NEAR_NOW = "SELECT abs(extract(epoch FROM {} - clock_timestamp())) < 600 FROM generation_job WHERE id = %s"


@pytest.fixture
def workers(service):
    workers = ClipWorkers(service)
    yield workers
    workers.stop()


def lost_in_time(service: Service, workers: ClipWorkers, clip: dict) -> None:
    """Not before its lease is over, and soon after."""
    began = time.monotonic()
    workers.forget(clip, LEFT_S)
    service.until(LOST, service.job_id(clip["id"]))
    assert LEFT_S <= time.monotonic() - began < LEFT_S + REAPED_WITHIN_S


def lives_on(service: Service, clip: dict) -> None:
    """Its lease is one by the database's clock, and so is its hold."""
    job = service.job_id(clip["id"])
    (left,) = service.row(LEFT, job)
    assert 0 < left <= LEASE_S
    assert service.row(HOLD, job) == ("open", True)


@pytest.mark.long
@pytest.mark.parametrize("offset", ["+3h", "-3h"])
def test_of_the_clip_workers(service, workers, offset):
    """Both that lose it and that finish it are off."""
    fields = {"prompt": "a red ball falls over grass", "seed": 31}
    calm = workers.calm(**fields)
    pid = workers.halting("step", step=15, **moved(offset))
    clip = service.submit(**fields)
    service.until(
        "SELECT 1 FROM generation_attempt WHERE job_id = %s AND step > 0", service.job_id(clip["id"])
    )
    lives_on(service, clip)
    workers.dead(pid)
    lost_in_time(service, workers, clip)
    last = workers.start(CELERY, **moved(offset))
    clip = service.finished(clip)
    assert [(row[0], row[2], row[3]) for row in service.attempts(clip)] == [
        ("lost", 0, pid),
        ("delivered", 10, last),
    ]
    job = service.job_id(clip["id"])
    for moment in ("created_at", "started_at", "finished_at"):
        assert service.row(NEAR_NOW.format(moment), job) == (True,), moment
    service.assert_as_calm(clip, calm)


@pytest.mark.long
def test_of_upkeep_and_beat_set_forward_and_back(service, workers, tmp_path):
    """The reaper works on, and reaps nothing that lives; no hold ends."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    off = {"upkeep": moved(clock), "beat": moved(clock)}
    ours = [programs.worker("upkeep", 2), programs.beat(tmp_path)]
    (tmp_path / "run").mkdir()
    with standing_in(service.live, off, ours):
        for number, offset in enumerate(("+3h", "-3h")):
            clock.write_text(offset)
            goes_on(service, workers, f"a blue square rises over grass, {number}")


def test_of_upkeep_alone(service, workers, tmp_path):
    """What the beat sends is not too old for a worker whose clock is ahead."""
    with standing_in(service.live, {"upkeep": moved("+3h")}, [programs.worker("upkeep", 2)]):
        goes_on(service, workers, "a blue square falls over grass")


def goes_on(service: Service, workers: ClipWorkers, prompt: str) -> None:
    """One clip loses its worker and is back in its lane in time; another waits meanwhile, and nothing of it ends."""
    pid = workers.halting("step", step=5)
    clip = service.submit(prompt=prompt, seed=1)
    waits = service.submit(prompt=prompt, seed=2)
    workers.dead(pid)
    lost_in_time(service, workers, clip)
    for one in (clip, waits):
        job = service.job_id(one["id"])
        assert service.row("SELECT state FROM generation_job WHERE id = %s", job) == ("queued",)
        assert service.row(HOLD, job) == ("open", True)
    assert [row[0] for row in service.attempts(clip)] == ["lost"]
    assert service.attempts(waits) == []
    for one in (clip, waits):
        service.delete(one)
        assert [amount for amount in service.charges(one) if amount] == []


@pytest.mark.long
def test_of_the_web(service):
    """A clip that came in through it is held for and made like any other; so is the next, which comes in elsewhere.

    Only ahead: for one that is behind, an organization that is minutes old does not exist yet.
    """
    port = free_port()
    with standing_in(service.live, {"web": moved("+3h")}, [programs.web(port)]):
        there = Service(service.live, url=f"http://127.0.0.1:{port}")
        clip = there.submit_insisting("web", prompt="a green star rises over snow", seed=1)
        job = service.job_id(clip["id"])
        assert service.row(HOLD, job) == ("open", True)
        there.close()
    # The rate that was counted three hours ahead doesn't shut its owner out until then.
    after = service.submit(prompt="a green star falls over snow", seed=1)
    for one in map(service.finished, (clip, after)):
        assert one["status"] == "completed", one
        assert len(service.charges(one)) == 1
    assert service.reconciles()

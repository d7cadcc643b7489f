"""A job that kills every worker which takes it: after three it is parked, free of charge, and the lane goes on."""

import time

import pytest

from tests.faults.clip_workers import ClipWorkers
from tests.faults.conftest import PATIENCE_S

pytestmark = pytest.mark.faults


def test_parked_after_three_workers(service):
    workers = ClipWorkers(service)
    try:
        poison = service.submit(prompt="a violet ball rolls over grass", seed=1)
        others = [service.submit(prompt=f"a red ball rolls over grass, {n}", seed=n) for n in range(2)]
        victims = []
        deadline = time.monotonic() + PATIENCE_S
        while service.call("GET", f"/v1/videos/{poison['id']}")["status"] != "failed":
            assert time.monotonic() < deadline
            if not workers.running:
                victims.append(workers.halting("claimed", HALT_PROMPT="violet"))
            (pid,) = workers.running
            if workers.running[pid].poll() is not None:
                workers.dead(pid)
                workers.forget(poison)
            time.sleep(0.1)
        others = [service.finished(clip) for clip in others]
        assert [clip["status"] for clip in others] == ["completed", "completed"]
        for clip in others:
            assert [row[0] for row in service.attempts(clip)] == ["delivered"]
            assert len(service.charges(clip)) == 1
        poison = service.finished(poison)
        assert poison["error"]["code"] == "internal_error"
        assert poison["backlot"]["charge_micro"] == 0
        job = service.job_id(poison["id"])
        assert [(row[0], row[3]) for row in service.attempts(poison)] == [
            ("lost", victims[0]),
            ("lost", victims[1]),
            ("failed", victims[2]),
        ]
        assert service.row("SELECT state, captured FROM billing_hold WHERE subject = %s", job) == (
            "released",
            0,
        )
        assert [amount for amount in service.charges(poison) if amount] == []
        assert service.events("job.failed.internal_error", poison)
        assert service.reconciles()
    finally:
        workers.stop()

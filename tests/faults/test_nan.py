"""A worker whose card makes NaN: each clip ends within two steps at no cost, and the worker is taken out of service."""

import random

import pytest

from tests.faults.clip_workers import ClipWorkers

pytestmark = pytest.mark.faults

POISONED = ("tests.faults.poisoned_worker",)


def test_nan_at_a_random_step_ends_the_clip_frees_the_hold_and_quarantines_the_worker(service):
    step = random.SystemRandom().randint(2, 45)
    workers = ClipWorkers(service)
    try:
        pid = workers.start(POISONED, POISON_STEP=str(step))
        clips = [service.submit(prompt=f"a red ball rolls over grass, {n}", seed=n) for n in range(4)]
        for clip in map(service.finished, clips[:3]):
            assert (clip["status"], clip["error"]["code"]) == ("failed", "not_finite")
            assert clip["backlot"]["charge_micro"] == 0
            (attempt,) = service.attempts(clip)
            assert (attempt[0], attempt[3]) == ("failed", pid)
            assert step < attempt[1] <= step + 2, f"a NaN after step {step}"
            query = "SELECT state, captured FROM billing_hold WHERE subject = %s"
            hold = service.row(query, service.job_id(clip["id"]))
            assert hold == ("released", 0)
            alarm = service.row(
                """SELECT detail->>'step', detail->>'worker', length(detail->>'prompt_sha256')
                     FROM accounts_operationalevent WHERE kind = 'clip.not_finite' AND subject = %s""",
                f"job:{service.job_id(clip['id'])}",
            )
            assert int(alarm[0]) <= step + 2
            assert alarm[2] == 64
        worker = service.until(
            "SELECT id, desired_by FROM generation_worker WHERE pid = %s AND desired = 'quarantine'", pid
        )
        assert (alarm[1], worker[1]) == (str(worker[0]), "nan guard")
        assert service.row(
            "SELECT 1 FROM accounts_operationalevent WHERE kind = 'worker.quarantined' AND severity = 'error'"
        )
        assert service.call("GET", f"/v1/videos/{clips[3]['id']}")["status"] == "queued"
        workers.start()
        assert service.finished(clips[3])["status"] == "completed"
        assert service.reconciles()
    finally:
        workers.stop()

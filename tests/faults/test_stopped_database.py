"""PostgreSQL stopped at once while clips run and are submitted: nothing acknowledged is lost, none is charged twice,
and nobody has to do anything for the workers to go on."""

import threading

import pytest

from tests.faults import outages
from tests.faults.clip_workers import ClipWorkers

pytestmark = pytest.mark.faults

FIELDS = {"prompt": "a yellow triangle rises over water", "seed": 3}
RUNNING = """SELECT 1 FROM generation_attempt a
               WHERE a.job_id = %s AND a.ended_at IS NULL AND a.step > a.resumed_from_step AND a.step >= %s"""


@pytest.mark.long
def test_stopped_three_times_while_clips_run_and_come_in(service):
    calm = service.calm(**FIELDS)
    workers = ClipWorkers(service)
    try:
        pid = workers.start()
        clip = service.submit(**FIELDS)
        job = service.job_id(clip["id"])
        acknowledged: dict[str, dict] = {}
        clients = [
            threading.Thread(target=submit, args=(service, f"outage-{n}", acknowledged)) for n in range(6)
        ]
        for number, step in enumerate((12, 22, 32)):
            service.until(RUNNING, job, step)
            for client in clients[2 * number : 2 * number + 2]:
                client.start()
            outages.stop_database_at_once(service.live, 1.5)
        for client in clients:
            client.join()
        clip = service.finished(clip)
        attempts = service.attempts(clip)
        # An outage is not the clip's fault: three of them would park it otherwise.
        assert {row[0] for row in attempts[:-1]} == {"handed_back"}, attempts
        assert attempts[-1][0] == "delivered"
        for before, after in zip(attempts, attempts[1:], strict=False):
            assert 0 <= before[1] - after[2] <= 10
        service.assert_as_calm(clip, calm)
        others = [service.finished(one) for one in acknowledged.values()]
        assert len({one["id"] for one in others}) == 6
        for one in others:
            assert one["status"] == "completed", one
            assert len(service.charges(one)) == 1
        assert workers.running[pid].poll() is None
        assert {row[3] for one in others for row in service.attempts(one)} == {pid}
        assert service.live.readiness()[0] == 200
        assert service.reconciles()
    finally:
        workers.stop()


def submit(service, key: str, acknowledged: dict[str, dict]) -> None:
    acknowledged[key] = service.submit_insisting(key, prompt=f"a green star falls over snow, {key}", seed=1)

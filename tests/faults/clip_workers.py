"""Clip workers that a test starts, kills and stops itself, beside those of a running Backlot."""

import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from tests.faults.conftest import PATIENCE_S, PINNED, Calm, Service
from tests.live import PROJECT

CELERY = ("celery", "-A", "console.celery")
HALTING = ("tests.faults.halting_worker",)
ARGUMENTS = ("worker", "-Q", "clips", "--pool=threads", "-c", "1", "--without-gossip", "--without-mingle")
OWN = "UPDATE generation_worker SET desired = %s WHERE pool_id = 'clips' AND stopped_at IS NULL AND pid = ANY (%s)"
OTHERS = """UPDATE generation_worker SET desired = %s
             WHERE pool_id = 'clips' AND stopped_at IS NULL AND pid <> ALL (%s)"""
EXPIRE = """UPDATE generation_attempt SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
             WHERE job_id = %s AND ended_at IS NULL"""


class ClipWorkers:
    """Processes by pid. The service's own clip worker is told to drain, so that only these take clips."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.running: dict[int, subprocess.Popen] = {}
        service.sql("UPDATE generation_worker SET desired = 'drain' WHERE pool_id = 'clips'")

    def start(self, module: tuple[str, ...] = CELERY, **environment: str) -> int:
        """A new worker; its pid, once it says that it is there."""
        process = self.launch(module, **environment)
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_there(process.pid):
            assert process.poll() is None, f"the worker ended with {process.returncode}"
            assert time.monotonic() < deadline, "the worker never came up"
            time.sleep(0.1)
        return process.pid

    def launch(self, module: tuple[str, ...] = CELERY, **environment: str) -> subprocess.Popen:
        """The same without waiting for it."""
        name = f"{uuid.uuid4().hex}@%h"
        command = [sys.executable, "-m", *module, *ARGUMENTS, "-n", name, "--loglevel=WARNING"]
        live = self.service.live
        servers = {"DATABASE_URL": live.database_url(), "REDIS_URL": live.redis_url()}
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**live.environment, **servers, **PINNED, **environment},
            start_new_session=True,
        )
        self.running[process.pid] = process
        return process

    def halting(self, at: str, *, step: int = 0, with_signal: str = "KILL", **environment: str) -> int:
        """A worker that kills or stops itself at one exact moment; see halting_worker.py."""
        return self.start(HALTING, HALT_AT=at, HALT_STEP=str(step), HALT_WITH=with_signal, **environment)

    def is_there(self, pid: int) -> bool:
        there = "SELECT 1 FROM generation_worker WHERE pid = %s AND stopped_at IS NULL"
        return self.service.row(there, pid) is not None

    def kill(self, pid: int) -> None:
        """kill -9."""
        process = self.running.pop(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def dead(self, pid: int) -> None:
        """Wait until a worker has killed itself."""
        process = self.running.pop(pid)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL

    def stopped(self, pid: int) -> None:
        """Wait until a worker has stopped itself (SIGSTOP)."""
        deadline = time.monotonic() + PATIENCE_S
        while state_of(pid) != "T":
            assert self.running[pid].poll() is None, "the worker ended instead"
            assert time.monotonic() < deadline, "the worker never stopped"
            time.sleep(0.02)

    def others_take_over(self) -> None:
        """The service's own worker takes clips again, these take none."""
        self.service.sql(OWN, "drain", list(self.running))
        self.service.sql(OTHERS, "run", list(self.running))

    def take_over(self) -> None:
        """The other way round."""
        self.service.sql(OTHERS, "drain", list(self.running))
        self.service.sql(OWN, "run", list(self.running))

    def calm(self, **fields: Any) -> Calm:
        """`Service.calm`, by the service's own worker."""
        self.others_take_over()
        calm = self.service.calm(**fields)
        self.take_over()
        return calm

    def forget(self, clip: dict, in_s: float = 0) -> None:
        """What the time would do: the lease of a clip whose worker is gone runs out now, or in a few seconds."""
        self.service.sql(EXPIRE, in_s, self.service.job_id(clip["id"]))

    def stop(self) -> None:
        """SIGTERM to all; what does not end in time is killed and reported."""
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        self.running = {}
        self.service.sql("UPDATE generation_worker SET desired = 'run' WHERE stopped_at IS NULL")


def state_of(pid: int) -> str:
    """The letter of /proc: T for a process that was stopped, S and R for one that goes on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

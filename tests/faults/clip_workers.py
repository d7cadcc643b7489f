"""Clip workers that a test starts, kills and stops itself, beside those of a running Backlot."""

import signal
import subprocess
import sys
import time
import uuid

from tests.faults.conftest import PATIENCE_S, Service
from tests.live import PROJECT

# What a resumed clip must match to the bit may not depend on which processor the next worker finds.
PINNED = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
CELERY = ("celery", "-A", "console.celery")
ARGUMENTS = ("worker", "-Q", "clips", "--pool=threads", "-c", "1", "--without-gossip", "--without-mingle")


class ClipWorkers:
    """Processes by pid. The service's own clip worker is told to drain, so that only these take clips."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.running: dict[int, subprocess.Popen] = {}
        service.sql("UPDATE generation_worker SET desired = 'drain' WHERE pool_id = 'clips'")

    def start(self, module: tuple[str, ...] = CELERY, **environment: str) -> int:
        """A new worker; its pid, once it says that it is there."""
        command = [
            sys.executable,
            "-m",
            *module,
            *ARGUMENTS,
            "-n",
            f"{uuid.uuid4().hex}@%h",
            "--loglevel=WARNING",
        ]
        live = self.service.live
        servers = {"DATABASE_URL": live.database_url(), "REDIS_URL": live.redis_url()}
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**live.environment, **servers, **PINNED, **environment},
            start_new_session=True,
        )
        self.running[process.pid] = process
        deadline = time.monotonic() + PATIENCE_S
        there = "SELECT 1 FROM generation_worker WHERE pid = %s AND stopped_at IS NULL"
        while not self.service.row(there, process.pid):
            assert process.poll() is None, f"the worker ended with {process.returncode}"
            assert time.monotonic() < deadline, "the worker never came up"
            time.sleep(0.1)
        return process.pid

    def kill(self, pid: int) -> None:
        """kill -9."""
        process = self.running.pop(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """SIGTERM to all; what does not end in time is killed and reported."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        self.running = {}
        self.service.sql("UPDATE generation_worker SET desired = 'run' WHERE stopped_at IS NULL")

"""Faults that tests make: of the servers, of files, of processes of a running Backlot."""

import os
import signal
import time
from pathlib import Path

import psycopg
import redis
from celery import Celery

from console.embedded import state
from tests.faults.conftest import PATIENCE_S
from tests.live import Live


def stop_database_at_once(live: Live, down_s: float) -> None:
    """Immediate shutdown, as of a server that lost its power; `down_s` later its keeper may start it again.

    Returns when it answers.
    """
    found = state.read(live.home)
    os.kill(found.keeper, signal.SIGSTOP)
    try:
        os.kill(found.servers["postgres"].pid, signal.SIGQUIT)
        time.sleep(down_s)
    finally:
        os.kill(found.keeper, signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE_S
    while not answers(found.servers["postgres"].url):
        assert time.monotonic() < deadline, "PostgreSQL does not come back"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def wipe_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()


def send_tickets(url: str, count: int) -> None:
    """As admission does, but that no clip came in."""
    with Celery(broker=url) as sender:
        for _ in range(count):
            sender.send_task("generation.tasks.work", args=["clips"], queue="clips", ignore_result=True)


def newest_checkpoint(live: Live, job: str) -> Path | None:
    """The tensors' file of the highest step of a job, over all its attempts; None where it has none."""
    landed = (live.home / "checkpoints" / job).glob("*/step-*.json")
    newest = max(landed, key=lambda path: (path.stem, int(path.parent.name)), default=None)
    return newest and newest.with_suffix(".safetensors")


def flip_a_byte(path: Path, at: int) -> None:
    """One bit of the byte at a place, from the end where it is negative, as a disk that rots would."""
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))

"""The run: clients are forked, killed and forked anew, the database is stopped now and then."""

import gc
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connections
from django.urls import get_resolver

from billing.payments import signing
from tests.faults.hammer import client, stage
from tests.faults.hammer.cluster import Cluster


@dataclass
class Plan:
    """How much, by how many, and how rough."""

    operations: int = 20_000
    clients: int = 4
    organizations: int = 16
    codes: int = 40
    kill_every_s: float = 2.0
    stop_every_s: float = 20.0
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(10**6))

    @property
    def slugs(self) -> list[str]:
        return [f"hammer-{number}" for number in range(self.organizations)]

    @property
    def each(self) -> int:
        return -(-self.operations // self.clients)


@dataclass
class Course:
    """What happened."""

    seconds: float = 0.0
    kills: int = 0
    problems: list[str] = field(default_factory=list)


def prepare(plan: Plan) -> None:
    """The stage, unless an earlier sitting made it, and what every fork would else import by itself."""
    if not stage.User.objects.exists():
        _make_stage(plan)
    # Half of a short-lived client's time went into importing what its first link and its first payment need.
    _ = get_resolver().reverse_dict
    signing.signed("", "")
    gc.freeze()
    connections.close_all()


def _make_stage(plan: Plan) -> None:
    for slug in plan.slugs:
        stage.organization(slug)
    for number in range(plan.codes):
        stage.code(f"HAMMER-{number}")
    stage.User.objects.create_user("hammer@example.com")


def journal_of(folder: Path, number: int) -> Path:
    return folder / f"client-{number}.jsonl"


def run(plan: Plan, cluster: Cluster, folder: Path) -> Course:
    """Until every client has had its answers. The forks share nothing with this process but its loaded modules."""
    course, began = Course(), time.monotonic()
    running = {_fork(plan, folder, number): number for number in range(plan.clients)}
    try:
        _until_done(plan, cluster, folder, running, course)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
    course.seconds = time.monotonic() - began
    return course


def _until_done(plan: Plan, cluster: Cluster, folder: Path, running: dict[int, int], course: Course) -> None:
    chance = random.Random(plan.seed)
    next_kill = time.monotonic() + plan.kill_every_s
    next_stop = time.monotonic() + plan.stop_every_s
    while running:
        _collect(running, course)
        now = time.monotonic()
        if now >= next_kill and running:
            pid = chance.choice(list(running))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            course.kills += 1
            number = running.pop(pid)
            running[_fork(plan, folder, number)] = number
            next_kill = time.monotonic() + plan.kill_every_s
        if now >= next_stop and running:
            cluster.stop_at_once()
            next_stop = time.monotonic() + plan.stop_every_s
        time.sleep(0.02)


def _collect(running: dict[int, int], course: Course) -> None:
    """Those that ended by themselves: done, or with a problem of their own, which ends the run's good standing."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            number = running.pop(pid)
            if status:
                course.problems.append(f"client {number} ended with {os.waitstatus_to_exitcode(status)}")


def _fork(plan: Plan, folder: Path, number: int) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        path = journal_of(folder, number)
        client.run(path, number, plan.each, plan.slugs, plan.codes, plan.seed)
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)

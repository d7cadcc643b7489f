"""Hundreds of clips of several organizations and tiers, and a fault drawn at random every few seconds.

A clip that lost its worker twice is let be by the faults that would cost it a third one: after that it is parked by
design (test_poison_job.py). Whatever else it meets, it must come.
"""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults import outages
from tests.faults.clip_workers import ClipWorkers
from tests.faults.conftest import Service

LEASE_S = 12
FROZEN_S = 15
DOWN_S = 1.5
# Tier → its share of the clips.
SHARES = {"free-demo": 1, "plus-demo": 3, "pro-demo": 3, "enterprise-demo": 3}
TURNS = """SELECT a.id, w.pid, j.id::text, j.attempts_failed, a.step, l.preemptible FROM generation_attempt a
             JOIN generation_job j ON j.id = a.job_id JOIN generation_worker w ON w.id = a.worker_id
             JOIN generation_lane l ON l.slug = a.lane_id
            WHERE a.ended_at IS NULL AND w.pool_id = 'clips'"""
PREEMPT = """UPDATE generation_attempt SET preempt_requested_at = clock_timestamp(), preempt_reason = 'soak'
              WHERE id = %s AND ended_at IS NULL AND preempt_requested_at IS NULL RETURNING 1"""
DESIRED = "UPDATE generation_worker SET desired = %s WHERE pid = %s AND stopped_at IS NULL"
MOST_LOST = 2


@dataclass
class Plan:
    """How much of it; everything that is drawn follows from the seed, and from what runs when."""

    clips: int
    fault_every_s: float
    seed: int
    workers: int = 2
    within_s: float = 9_000


@dataclass
class Soak:
    """`run()` once. `acknowledged` is key → clip as it was answered, by customer."""

    service: Service
    plan: Plan
    customers: dict[str, Service]
    acknowledged: dict[str, tuple[Service, dict]] = field(default_factory=dict)
    faults: Counter = field(default_factory=Counter)
    problems: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.plan.seed)
        for customer in self.customers.values():
            customer.insists_s = self.plan.within_s  # room comes when the clips before it are done
        self.workers = ClipWorkers(self.service)
        self.frozen: dict[int, float] = {}
        self.drained: dict[int, float] = {}

    def run(self) -> None:
        """Until every clip has ended; AssertionError where that takes too long."""
        service, plan = self.service, self.plan
        service.sql("UPDATE generation_registeredmodel SET lease_seconds = %s WHERE kind = 'clip'", LEASE_S)
        client = threading.Thread(target=self._submit_all, daemon=True)
        client.start()
        began = due = time.monotonic()
        try:
            while client.is_alive() or self._open():
                assert time.monotonic() - began < plan.within_s, f"still open: {self._open()}"
                self._tend()
                if time.monotonic() > due and self._one_fault():
                    due = time.monotonic() + plan.fault_every_s
                time.sleep(0.2)
        finally:
            self._thaw(everything=True)
            self.workers.stop()
        assert not self.problems, self.problems

    def _submit_all(self) -> None:
        """One client after another, as fast as they are let in; whoever waits for room keeps the others waiting too."""
        chance = random.Random(self.plan.seed + 1)
        names, shares = zip(*SHARES.items(), strict=True)
        try:
            for number in range(self.plan.clips):
                customer = self.customers[chance.choices(names, shares)[0]]
                key = f"soak-{self.plan.seed}-{number}"
                clip = customer.submit_insisting(
                    key, prompt=f"a red ball rolls over sand, {number}", seed=number
                )
                self.acknowledged[key] = customer, clip
        except BaseException as problem:
            self.problems.append(problem)
            raise

    def _open(self) -> int:
        query = "SELECT count(*) FROM generation_job WHERE idempotency_key LIKE %s AND finished_at IS NULL"
        return self.service.row(query, f"soak-{self.plan.seed}-%")[0]

    def _tend(self) -> None:
        """What a supervisor does: a worker that ended is started anew. Frozen and drained ones come back in time."""
        for pid, process in list(self.workers.running.items()):
            if process.poll() is not None:
                del self.workers.running[pid]
                self.frozen.pop(pid, None)
                self.drained.pop(pid, None)
        while len(self.workers.running) < self.plan.workers:
            self.workers.launch()
        self._thaw()

    def _thaw(self, *, everything: bool = False) -> None:
        now = time.monotonic()
        for pid, until in list(self.frozen.items()):
            if everything or now > until:
                os.kill(pid, signal.SIGCONT)
                del self.frozen[pid]
        for pid, until in list(self.drained.items()):
            if everything or now > until:
                self.service.sql(DESIRED, "run", pid)
                del self.drained[pid]

    def _one_fault(self) -> bool:
        """Try them in an order drawn by chance until one finds what it needs; whether one did."""
        faults: list[Callable[[], bool]] = [
            self.kill,
            self.freeze,
            self.wipe_redis,
            self.stop_database,
            self.rot,
            self.duplicate,
            self.preempt,
            self.drain,
        ]
        self.chance.shuffle(faults)
        for fault in faults:
            if fault():
                self.faults[fault.__name__] += 1
                return True
        return False

    def _turns(self) -> list[tuple]:
        """Turns of our workers whose job has a worker to lose, in an order drawn by chance."""
        turns = [row for row in self.service.rows(TURNS) if row[1] in self.workers.running]
        spared = {row[1] for row in turns if row[3] >= MOST_LOST} | set(self.frozen)
        turns = [row for row in turns if row[1] not in spared]
        self.chance.shuffle(turns)
        return turns

    def kill(self) -> bool:
        for turn in self._turns():
            self.workers.kill(turn[1])
            return True
        return False

    def freeze(self) -> bool:
        """SIGSTOP for longer than its lease, then it wakes up."""
        for turn in self._turns():
            os.kill(turn[1], signal.SIGSTOP)
            self.frozen[turn[1]] = time.monotonic() + FROZEN_S
            return True
        return False

    def wipe_redis(self) -> bool:
        outages.wipe_redis(self.service.redis_url)
        return True

    def stop_database(self) -> bool:
        """Whoever has a job may lose it: only where no job is down to its last worker."""
        if any(row[3] >= MOST_LOST for row in self.service.rows(TURNS)):
            return False
        outages.stop_database_at_once(self.service.live, DOWN_S)
        return True

    def rot(self) -> bool:
        """A byte of the newest checkpoint flips, and the worker that could have written another dies."""
        for turn in self._turns():
            if outages.newest_checkpoint(self.service.live, turn[2]):
                self.workers.kill(turn[1])
                # Another than a moment ago, perhaps; none, where the clip was delivered meanwhile.
                newest = outages.newest_checkpoint(self.service.live, turn[2])
                if newest:
                    outages.flip_a_byte(newest, -1)
                return True
        return False

    def duplicate(self) -> bool:
        outages.send_tickets(self.service.redis_url, 50)
        return True

    def preempt(self) -> bool:
        """As preemption.request does, of a lane that allows it."""
        return any(turn[5] and self.service.row(PREEMPT, turn[0]) for turn in self._turns())

    def drain(self) -> bool:
        """An operator's wish, withdrawn after a while."""
        for turn in self._turns():
            self.service.sql(DESIRED, "drain", turn[1])
            self.drained[turn[1]] = time.monotonic() + 5
            return True
        return False


def judge(soak: Soak) -> dict:
    """What came of it. Every list names clips and must be empty."""
    found: dict = {"lost": [], "undelivered": [], "charges": [], "files": [], "redone": []}
    most_redone = 0
    for key, (customer, clip) in soak.acknowledged.items():
        job = customer.job_id(clip["id"])
        rows = customer.rows("SELECT id::text, state FROM generation_job WHERE idempotency_key = %s", key)
        if [row[0] for row in rows] != [job]:
            found["lost"].append((key, rows))
            continue
        if rows[0][1] != "delivered":
            found["undelivered"].append((key, rows[0][1], customer.attempts(clip)))
        if len(customer.charges(clip)) != 1 or customer.charges(clip)[0] <= 0:
            found["charges"].append((key, customer.charges(clip)))
        fence = customer.row("SELECT fence FROM generation_job WHERE id = %s", job)
        files = "SELECT fence FROM generation_asset WHERE job_id = %s AND role = 'video'"
        if customer.rows(files, job) != [fence]:
            found["files"].append(key)
        redone, too_much = redone_of(customer, job)
        most_redone = max(most_redone, redone)
        found["redone"] += [(key, *row) for row in too_much]
    return found | {"most_redone": most_redone}


def redone_of(service: Service, job: str) -> tuple[int, list[tuple]]:
    """The most steps that one loss cost, and the losses that cost more than 10, or 20 with a rotten checkpoint.

    An attempt that ended before it had read its checkpoint says nothing of where it stood.
    """
    query = """SELECT outcome, greatest(step, resumed_from_step), resumed_from_step, cardinality(refused_checkpoints)
                 FROM generation_attempt WHERE job_id = %s ORDER BY fence"""
    attempts = [row for row in service.rows(query, job) if row[1] or row[0] == "delivered"]
    most, too_much = 0, []
    for before, after in itertools.pairwise(attempts):
        redone = before[1] - after[2]
        most = max(most, redone)
        if redone > 10 * (1 + after[3]):
            too_much.append((before, after))
    return most, too_much

"""One run of requests, live: through the database, tickets and claims, or through plain Celery with priorities.

The jobs are real rows without the money around them (their holds are fillers, as in claims.py), and admission refuses
nothing: what is measured is the order in which they go.
"""

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from django.db import connection, transaction

from accounts import keys, organizations
from accounts.models import User
from bench import rush_worker
from bench.rush_traffic import FIRST, FLOODER, RULE, SCALE, Request, Turn
from generation import dispatch
from generation.models import Lane, LaneOverride, RaiseRule
from generation.scheduling import auto_raise, tickets

TICK_S = 0.01  # what came due meanwhile is sent together
LOOK_EVERY_S = 1.0
KEYS = 200
WEIGHT_OF_PLUS = 2.0
DRAINS_WITHIN_S = 60
ADD = """
INSERT INTO generation_job (id, organization_id, source, kind, model_id, lane_id, prompt, spec, spec_hash, seed, steps,
    state, state_cause, state_at, fence, ahead_of_lane, attempts_failed, units_micro, estimate_gpu_ms, quote_micro,
    hold_id, decision_id, screening, request_hash, created_at, queued_at, error_code, error_message, steps_run,
    checkpoints, tokens_in, tokens_out, finish_reason, stages, device, api_key_id)
  SELECT %(id)s, %(organization)s, 'bench', 'clip',
    (SELECT id FROM generation_registeredmodel WHERE kind = 'clip' LIMIT 1), %(lane)s, 'bench', %(spec)s, 'x',
    %(number)s, 50, 'queued', 'bench', now(), 0, false, 0, 1000000, %(estimate)s, 300000, -%(number)s,
    gen_random_uuid(), '{}', 'x', %(at)s, %(at)s, '', '', 0, 0, 0, 0, '', '{}', '', %(key)s
"""
ORGANIZATIONS = """
INSERT INTO accounts_organization (slug, name) SELECT n, n FROM unnest(%s::text[]) n ON CONFLICT DO NOTHING
"""
LOCK = "SELECT 1 FROM generation_pool WHERE slug = %s FOR UPDATE"  # no claim meanwhile
STOP = "UPDATE generation_job SET state = 'cancelled', state_cause = 'the run is over' WHERE state = 'queued'"
RUNNING = "SELECT count(*) FROM generation_attempt WHERE ended_at IS NULL"
STARTED = """
SELECT job_id, extract(epoch FROM started_at)::float8, extract(epoch FROM ended_at)::float8 FROM generation_attempt
"""
# As on the first day: what waited in one run would be seen by the auto-raise rule in the next.
CLEAR = (
    "DELETE FROM generation_jobevent",
    "DELETE FROM generation_attempt",
    "DELETE FROM generation_job",
    "DELETE FROM generation_laneorganization",
    "DELETE FROM generation_laneoverride",
    "UPDATE generation_lane SET tag = 0, organization_virtual_time = 0, recent_gpu_ms = 0, recent_at = NULL, owed = 0",
    "UPDATE generation_pool SET virtual_time = 0",
)
GUARDED = ("generation_jobevent", "generation_attempt", "generation_job", "generation_laneoverride")


class Way(Protocol):
    """How requests get slots: begin a run, take requests as they come, end it and say what became of them."""

    def begin(self, requests: Sequence[Request]) -> None: ...

    def add(self, due: Sequence[Request], began: float) -> None: ...

    def end(self, requests: Sequence[Request], began: float) -> list[Turn]: ...


def play(way: Way, requests: Sequence[Request], span_s: float) -> list[Turn]:
    """Send every request when its time has come, whatever became of those before it; the turns after `span_s`."""
    coming = sorted((one for one in requests if one.at_s > FIRST), key=lambda one: one.at_s)
    waiting = [one for one in requests if one.at_s <= FIRST]
    way.begin(requests)
    sent, began = 0, time.time()
    while (now := time.time() - began) < span_s:
        due = list(itertools.takewhile(lambda one: one.at_s <= now, coming[sent:]))  # noqa: B023
        if due:
            way.add(due, began)
            sent += len(due)
        time.sleep(TICK_S)
    return way.end([*waiting, *coming[:sent]], began)


class Ours:
    """Jobs in PostgreSQL, a ticket for each, claims by fair share, and the auto-raise rule looking every second.

    `capped` False lifts the burst caps, `raising` False leaves the rule out. `highest` is the most that the rule
    raised Plus to in the run.
    """

    def __init__(self, slots: int) -> None:
        self.slots, self.capped, self.raising, self.highest = slots, True, True, WEIGHT_OF_PLUS
        self._numbers = itertools.count(1)
        self._baseline = dict(Lane.objects.values_list("pk", "max_running"))
        owner = User.objects.create_user("rush@example.com")
        flooder = organizations.create(FLOODER, "plus", owner)
        self._keys = [
            keys.create(flooder, f"key {number}", keys.SCOPES, owner)[0].pk for number in range(KEYS)
        ]
        scaled = {name: getattr(RULE, name) * SCALE for name in ("threshold_s", "pause_s", "hold_s")}
        RaiseRule.objects.filter(lane="clips-plus").update(**scaled)

    def begin(self, requests: Sequence[Request]) -> None:
        """What waits from the beginning comes in one piece, before anything claims."""
        self._came = {}
        _clear()
        for lane, most in self._baseline.items():
            Lane.objects.filter(pk=lane).update(max_running=most if self.capped else 10_000)
        names = sorted({request.organization for request in requests})
        with connection.cursor() as cursor:
            cursor.execute(ORGANIZATIONS, [names])
            cursor.execute("SELECT slug, id FROM accounts_organization WHERE slug = ANY (%s)", [names])
            self._organizations = dict(cursor.fetchall())
            waiting = [self._row(one, time.time()) for one in requests if one.at_s <= FIRST]
            cursor.executemany(ADD, waiting)
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        if self.raising:
            self._looking.start()
        self._tell(len(waiting))

    def add(self, due: Sequence[Request], began: float) -> None:
        """Each by itself, as an admission commits it. (Two in one transaction would lock two organizations' places in
        an order that a claim doesn't know.)"""
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
            for request in due:
                self._came[request.id] = time.time() - began
                cursor.execute(ADD, self._row(request, began))
        self._tell(len(due))

    def _tell(self, count: int) -> None:
        # More tickets than slots say nothing more: each slot claims until nothing is left.
        for _ in range(min(count, 2 * self.slots)):
            tickets.send(rush_worker.POOL)

    def end(self, requests: Sequence[Request], began: float) -> list[Turn]:
        self._over.set()
        if self.raising:
            self._looking.join()
        raised = LaneOverride.objects.filter(author_kind=LaneOverride.AuthorKind.AUTO_RAISE)
        self.highest = max((row.value for row in raised), default=WEIGHT_OF_PLUS)
        _stop()
        _until(lambda: _value(RUNNING) == 0)
        _purge(rush_worker.ours, rush_worker.POOL)
        with connection.cursor() as cursor:
            cursor.execute(STARTED)
            found = {job: (started - began, ended - began) for job, started, ended in cursor.fetchall()}
        return _turns(requests, self._came, found)

    def _row(self, request: Request, began: float) -> dict:
        return {
            "id": request.id,
            "organization": self._organizations[request.organization],
            "lane": f"{rush_worker.POOL}-{request.lane}",
            "spec": json.dumps({"run_s": request.run_s}),
            "number": next(self._numbers),
            "estimate": round(1000 * request.estimate_s),
            "at": datetime.fromtimestamp(began + request.at_s, UTC),
            "key": self._keys[request.key] if request.organization == FLOODER else None,
        }

    def _look(self) -> None:
        try:
            while not self._over.wait(LOOK_EVERY_S):
                auto_raise.run(dispatch.clock())
        finally:
            connection.close()


class Priorities:
    """Plain Celery: a message for each request, with its tier's priority."""

    def begin(self, requests: Sequence[Request]) -> None:
        self._came = {}
        self._numbers = {request.id: number for number, request in enumerate(requests)}
        rush_worker.log.delete(rush_worker.LOG)

    def add(self, due: Sequence[Request], began: float) -> None:
        for request in due:
            self._came[request.id] = time.time() - began
            rush_worker.clip.apply_async(
                (self._numbers[request.id], request.run_s),
                queue=rush_worker.QUEUE,
                priority=rush_worker.PRIORITY[request.lane],
            )

    def end(self, requests: Sequence[Request], began: float) -> list[Turn]:
        _purge(rush_worker.priorities, rush_worker.QUEUE)
        time.sleep(1.2 * max(request.run_s for request in requests))  # what runs ends and notes it
        found = {}
        for line in rush_worker.log.lrange(rush_worker.LOG, 0, -1):
            number, started, ended = line.split()
            found[int(number)] = (float(started) - began, float(ended) - began)
        return _turns(requests, self._came, {one.id: found.get(self._numbers[one.id]) for one in requests})


def _turns(requests: Sequence[Request], came: dict, found: dict) -> list[Turn]:
    late = [came.get(one.id, one.at_s) - one.at_s for one in requests]
    print(f"bench: requests sent up to {max(late):.2f} s late, load {load()}", file=sys.stderr)
    return [Turn(one, came.get(one.id, one.at_s), *(found.get(one.id) or (None, None))) for one in requests]


def load() -> str:
    """The machine's load, for the record."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def without_money() -> None:
    """Foreign keys of what a job is paid by are dropped: only this scratch database may do without."""
    with transaction.atomic(), connection.cursor() as cursor:
        for column in ("hold_id", "decision_id"):
            cursor.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'generation_job'::regclass"
                " AND contype = 'f' AND conname LIKE %s",
                [f"%{column}%"],
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'ALTER TABLE generation_job DROP CONSTRAINT "{name}"')


def _clear() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK, [rush_worker.POOL])
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in CLEAR:
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def _purge(app, queue: str) -> None:
    with app.connection_for_write() as broker:
        broker.default_channel.queue_purge(queue)


def _until(done) -> None:
    end = time.monotonic() + DRAINS_WITHIN_S
    while not done():
        if time.monotonic() > end:
            raise RuntimeError("clips of the last run still run")
        time.sleep(0.05)


def _value(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


@transaction.atomic
def _stop() -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [rush_worker.POOL])
        cursor.execute(STOP)


def started(turns: Iterable[Turn], end_s: float) -> int:
    """How many had begun by the end."""
    return sum(turn.started_s is not None and turn.started_s <= end_s for turn in turns)

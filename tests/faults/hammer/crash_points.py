"""A process that dies before or after each commit of a money path, and a second one that does it all again.

Each path is first walked in peace. Then, for the first commit, the second and so on, before it and after it, a fork
walks it on a fresh organization and kills itself there; another fork walks the same path whole. What the organization's
books then say must be, to the entry, what they say after the walk in peace.
"""

import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable

from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper

from tests.faults.hammer.books import books_of
from tests.faults.hammer.money_paths import PATHS, Path

BEFORE, AFTER = "before", "after"
WRITES = ("INSERT", "UPDATE", "DELETE")


def run() -> dict:
    """Each path's number of commits, how many crashes there were, and what did not converge."""
    from billing.reconciliation import reconcile
    from billing.replay import replay

    commits, crashes, problems = {}, 0, []
    for path in PATHS:
        calm = walked(path, f"{path.name}-calm", prepare=True)
        commits[path.name] = 0
        for number in itertools.count(1):
            crashed = [_crashed_and_walked(path, number, when, calm, problems) for when in (BEFORE, AFTER)]
            crashes += sum(crashed)
            if not any(crashed):
                break
            commits[path.name] = number
    drift = [str(one) for one in (*reconcile().drift, *replay()[1])]
    connections.close_all()
    clean = not problems and not drift and all(commits.values())
    return {"clean": clean, "crashes": crashes, "commits": commits, "named": (problems + drift)[:20]}


def _crashed_and_walked(path: Path, number: int, when: str, calm: list, problems: list[str]) -> bool:
    """Whether there was such a commit; then the path was walked again, and compared."""
    slug = f"{path.name}-{number}-{when}"
    status, _ = _forked(lambda: (path.prepare(slug), arm(number, when), path.walk(slug)))
    if status == 0:
        return False
    if status != -signal.SIGKILL:
        problems.append(f"{slug}: the first walk ended with {status}")
        return False
    found = walked(path, slug)
    if found != calm:
        problems.append(f"{slug}: {found}, in peace {calm}")
    return True


def walked(path: Path, slug: str, *, prepare: bool = False) -> list:
    """The books of an organization once a fork has walked its path whole."""

    def work() -> list:
        if prepare:
            path.prepare(slug)
        path.walk(slug)
        return books_of(slug)

    return _forked(work)[1]


def arm(number: int, when: str) -> None:
    """Kill this process before or after its so-manieth commit from here on; a write outside of a transaction is one."""
    left = itertools.count(number - 1, -1)

    def at_commit(commit: Callable[[], object]) -> object:
        due = next(left) == 0
        if due and when == BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        done = commit()
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    own_commit = DatabaseWrapper._commit
    DatabaseWrapper._commit = lambda self: at_commit(lambda: own_commit(self))

    def around(execute: Callable, statement: str, params: object, many: bool, context: dict) -> object:
        if context["connection"].in_atomic_block or not str(statement).lstrip().upper().startswith(WRITES):
            return execute(statement, params, many, context)
        return at_commit(lambda: execute(statement, params, many, context))

    connection.execute_wrappers.append(around)


def _forked(work: Callable[[], object]) -> tuple[int, object]:
    """Do the work in a process of its own: its status (minus the signal) and what it returned, as JSON."""
    connections.close_all()
    reading, writing = os.pipe()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            answer = json.dumps(work(), default=str).encode()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, json.loads(answer) if answer else None

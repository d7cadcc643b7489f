"""Group commit: what several threads ask of the same thing at once, one of them does for all, in one transaction.

Where a row's lock makes transactions wait for each other, each would read anew what the one before it has just written,
and commit by itself. Here those that come while one is under way are gathered, and when it ends the first of them
carries out all of them. Nobody waits for company: a call that finds nothing under way goes at once, alone.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
GONE = ("08", "57")  # classes of SQLSTATE: the connection broke, the server was stopped


class _Call(Generic[Asked, Answer]):
    """One thread's part. Whoever wakes it has said that it leads, or its answer, or its problem; else it goes alone."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.woken = threading.Event()
        self.leads = False
        self.answer: list[Answer] = []
        self.problem: BaseException | None = None


class GroupCommit(Generic[Asked, Answer]):
    """`carry_out` answers each of at most `most` calls, in their order, in a transaction of its own: all or none."""

    def __init__(self, carry_out: Callable[[Sequence[Asked]], Sequence[Answer]], most: int) -> None:
        self._carry_out = carry_out
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[
            Hashable, deque[_Call[Asked, Answer]]
        ] = {}  # a key is there while a call of it leads

    def ask(self, key: Hashable, asked: Asked) -> Answer:
        """The answer to one call, carried out with others of its key. Raises what carrying it out alone raises.

        Inside a transaction of the caller's it goes alone: others must not hang on that.
        """
        if connection.in_atomic_block:
            return self._carry_out([asked])[0]
        call = _Call(asked)
        with self._lock:
            queue = self._waiting.get(key)
            call.leads = queue is None
            if queue is None:
                self._waiting[key] = deque()
            else:
                queue.append(call)
        if not call.leads:
            call.woken.wait()
        if call.leads:
            return self._lead(key, call)
        if call.problem is not None:
            raise call.problem
        return call.answer[0] if call.answer else self._carry_out([asked])[0]

    def _lead(self, key: Hashable, first: _Call[Asked, Answer]) -> Answer:
        with self._lock:
            queue = self._waiting[key]
            others = [queue.popleft() for _ in range(min(len(queue), self._most - 1))]
        try:
            answers = self._carry_out([first.asked, *(other.asked for other in others)])
            for other, answer in zip(others, answers[1:], strict=True):
                other.answer = [answer]
        except Exception as problem:
            # Where one of them can't be carried out, none was: each is tried alone and meets its own problem.
            if not others or _may_be_done(problem):
                for other in others:
                    other.problem = problem
                raise
            answers = None
        finally:
            self._next(key)
            for other in others:
                other.woken.set()
        return answers[0] if answers else self._carry_out([first.asked])[0]

    def _next(self, key: Hashable) -> None:
        """Hand over to the first of those who came meanwhile."""
        with self._lock:
            queue = self._waiting[key]
            if not queue:
                del self._waiting[key]
                return
            leader = queue.popleft()
        leader.leads = True
        leader.woken.set()


def _may_be_done(problem: Exception) -> bool:
    """The connection was lost, maybe while the commit was under way: to do it again might be to do it twice."""
    state = getattr(problem.__cause__, "sqlstate", None)
    return isinstance(problem, (OperationalError, InterfaceError)) and (state is None or state[:2] in GONE)

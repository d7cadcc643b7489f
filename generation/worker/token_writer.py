"""Segments on their way to PostgreSQL and then to Redis, beside the engine: it computes while they are stored.

One segment at a time and in order. Nobody is shown what is not stored, and nothing is stored under a lease that was
lost: renewing the lease and storing the segment are one statement.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

from generation import streams
from generation.pooling import give_back
from generation.scheduling.leases import RENEW, Lease, Wishes

Result = TypeVar("Result")

STORE = f"""
WITH renewed AS ({RENEW}), stored AS (
  INSERT INTO generation_tokensegment (job_id, seq, fence, text, ids, at)
  SELECT %s::uuid, %s::integer, %s::bigint, %s::text, %s::integer[], clock_timestamp() FROM renewed)
SELECT * FROM renewed
"""


class TokenWriter:
    """The writer of one attempt. `seq` is the number of the last segment that was stored before it.

    Inside a transaction of the caller's own it writes at once: another connection would not see what it writes to.
    """

    def __init__(self, lease: Lease, seq: int) -> None:
        self._lease = lease
        self.seq = seq
        self.heard_at = time.monotonic()  # about when the lease was last renewed
        self._beside = None
        if not connection.in_atomic_block:
            self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="segments")
        self._last: Future | None = None

    @property
    def busy(self) -> bool:
        return self._last is not None and not self._last.done()

    def store(self, step: int, text: str, ids: list[int]) -> None:
        """Hand over the next segment. The one before has to be there: `wishes` waits for it."""
        self.seq += 1
        number = self.seq
        self._do(lambda: self._stored(step, number, text, ids))

    def renew(self, step: int) -> None:
        """Report progress without a segment."""
        self._do(lambda: self._lease.renew(step=step, stage="generating"))

    def wishes(self) -> Wishes | None:
        """What others wanted of the attempt when it was last heard of, after waiting for that. Raises LeaseLost."""
        last, self._last = self._last, None
        return last.result() if last else None

    def beside(self, work: Callable[[], Result]) -> "Future[Result]":
        """Something small to do behind what was handed over last, with the writer's own connection."""
        if self._beside is not None:
            return self._beside.submit(work)
        done: Future[Result] = Future()
        done.set_result(work())
        return done

    def alone(self) -> None:
        """The first text is on its way: the caller's own connection is given back, one is enough from here on."""
        if self._beside is not None:
            give_back()

    def close(self) -> None:
        """Wait for what was handed over; raises what became of it."""
        try:
            self.wishes()
        finally:
            if self._beside is not None:
                self._beside.submit(give_back)
                self._beside.shutdown()

    def _do(self, work: Callable[[], Wishes]) -> None:
        self.heard_at = time.monotonic()
        self._last = self.beside(work)

    def _stored(self, step: int, number: int, text: str, ids: list[int]) -> Wishes:
        lease = self._lease
        renewal = (step, "generating", None, None, 0, lease.attempt_id)
        segment = (lease.job_id, number, lease.fence, text, ids)
        wishes = lease.renewed(STORE, renewal + segment)
        streams.append_tokens(self._lease.job_id, number, text)
        return wishes

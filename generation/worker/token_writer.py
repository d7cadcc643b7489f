"""Segments on their way to PostgreSQL and then to Redis, beside the engine: it computes while they are stored.

One segment at a time and in order. Nobody is shown what is not stored, and nothing is stored under a lease that was
lost: renewing the lease and storing the segment are one statement.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection

from generation import streams
from generation.pooling import give_back
from generation.scheduling.leases import RENEW, Lease, LeaseLost, Wishes

STORE = f"""
WITH renewed AS ({RENEW}), stored AS (
  INSERT INTO generation_tokensegment (job_id, seq, fence, text, ids, at)
  SELECT %(job)s, %(seq)s, %(fence)s, %(text)s, %(ids)s::integer[], clock_timestamp() FROM renewed)
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
            give_back()  # the writer has a connection meanwhile, opened while the engine reads the prompt
            self._beside.submit(connection.ensure_connection)
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

    def beside(self, work: Callable[[], object]) -> None:
        """Something small to do behind what was handed over last."""
        if self._beside is None:
            work()
        else:
            self._beside.submit(work)

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
        if self._beside is not None:
            self._last = self._beside.submit(work)
            return
        self._last = Future()
        self._last.set_result(work())

    def _stored(self, step: int, number: int, text: str, ids: list[int]) -> Wishes:
        attempt = {"id": self._lease.attempt_id, "step": step, "stage": "generating"}
        unchanged = {"checkpoints": None, "preview": None, "seconds": 0}
        segment = {"job": self._lease.job_id, "fence": self._lease.fence, "seq": number}
        values = {**attempt, **unchanged, **segment, "text": text, "ids": ids}
        with connection.cursor() as cursor:
            cursor.execute(STORE, values)
            row = cursor.fetchone()
        if row is None:
            raise LeaseLost(f"attempt {self._lease.fence} of job {self._lease.job_id} lost its lease")
        streams.append_tokens(self._lease.job_id, number, text)
        return Wishes(*row)

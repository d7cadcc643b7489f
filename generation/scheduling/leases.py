"""An attempt's right to write, by the database's clock.

A lease is renewed by progress (a step, a stage, a run of tokens), never by a thread that would outlive a hung one.
Whoever lost it, to the reaper or to time, is told so by `LeaseLost` at the next write and must stop at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts import batch
from generation.models import Attempt, Job

# Its parameters: step, stage, checkpoints, preview, seconds, the attempt's id.
RENEW = """
UPDATE generation_attempt a
   SET step = coalesce(%s::integer, a.step), stage = coalesce(%s::text, a.stage),
       checkpoints = coalesce(%s::integer, a.checkpoints), preview = coalesce(%s::text, a.preview),
       lease_expires_at = clock_timestamp() + make_interval(secs => greatest(a.lease_seconds, %s::float8))
  FROM generation_worker w, generation_job j
 WHERE a.id = %s AND a.ended_at IS NULL AND a.lease_expires_at > clock_timestamp()
   AND w.id = a.worker_id AND j.id = a.job_id AND j.fence = a.fence
RETURNING w.desired, j.cancel_requested_at IS NOT NULL, a.preempt_reason
"""


class LeaseLost(Exception):
    """The attempt no longer owns its job: another one does, or will. Nothing may be written under this fence."""


@dataclass(frozen=True)
class Wishes:
    """What others want of a running attempt, read with every renewal. `preempt` is why it is to yield, or ""."""

    desired: str
    cancel: bool
    preempt: str = ""


@dataclass(frozen=True)
class Lease:
    """The fencing number that every write and every file path of an attempt carries."""

    attempt_id: int
    job_id: UUID
    fence: int

    def renew(
        self,
        *,
        step: int | None = None,
        stage: str | None = None,
        checkpoints: int | None = None,
        preview: str | None = None,
        seconds: float = 0,
    ) -> Wishes:
        """Report progress and live on for another lease; one statement. Raises `LeaseLost`.

        `seconds` is how long the next piece may take in which nothing can be reported, where that is more than a lease.
        """
        return self.renewed(RENEW, (step, stage, checkpoints, preview, seconds, self.attempt_id))

    def renewed(self, statement: str, values: Sequence[Any]) -> Wishes:
        """What a statement gave back that renews the lease, and perhaps does more. Raises `LeaseLost`."""
        (rows,) = batch.read([(statement, values)])
        if not rows:
            raise LeaseLost(f"attempt {self.fence} of job {self.job_id} lost its lease")
        return Wishes(*rows[0])

    def locked(self) -> tuple[Attempt, Job]:
        """The attempt's row, locked, and its job, for a change of state inside the caller's transaction.

        The job's own row is locked by the update that follows the settlement: see the lock order in finalization.py.
        """
        attempt = (
            Attempt.objects.select_for_update(of=("self",))
            .select_related("job", "job__model")
            .extra(where=["lease_expires_at > clock_timestamp()"])
            .filter(pk=self.attempt_id, ended_at=None, job__fence=self.fence)
            .first()
        )
        if attempt is None:
            raise LeaseLost(f"attempt {self.fence} of job {self.job_id} lost its lease")
        return attempt, attempt.job


def lease_of(attempt: Attempt) -> Lease:
    return Lease(attempt.pk, attempt.job_id, attempt.fence)

"""Taking the device back from a running job between two of its steps. Who is to yield, a scheduler decides.

The job goes back to the head of its lane with its progress, exactly as when its worker drains; what that cost and
where it stands afterwards is kept with the attempt.
"""

from django.db import connection, transaction

from accounts import operations
from generation import finalization
from generation.leases import Lease
from generation.models import Attempt, Job
from generation.standing import standing

# Only a job that still denoises has a device to give back, and only lanes that said so are interrupted.
ASK = """
UPDATE generation_attempt a SET preempt_requested_at = clock_timestamp(), preempt_reason = left(%(reason)s, 200)
  FROM generation_job j, generation_lane l
 WHERE a.id = %(id)s AND a.ended_at IS NULL AND a.preempt_requested_at IS NULL
   AND j.id = a.job_id AND j.state = 'running' AND l.slug = j.lane_id AND l.preemptible
"""


def request(attempt_id: int, reason: str) -> bool:
    """Ask a running attempt to yield; its worker reads it with its next step. False where there is nothing to ask:
    it has ended, is finishing, was asked before, or its lane is not preemptible."""
    if not reason.strip():
        raise ValueError("A preemption needs its reason.")
    with connection.cursor() as cursor:
        cursor.execute(ASK, {"id": attempt_id, "reason": reason.strip()})
        return cursor.rowcount == 1


def give_way(lease: Lease, ran: finalization.Ran, reason: str, yield_ms: int) -> Job:
    """The worker's answer: hand back, and record the cost and the place. `yield_ms` is how long the device computed
    nothing for it, from the end of its last step to the checkpoint's landing."""
    with transaction.atomic():
        job = finalization.hand_back(lease, ran, f"preempted: {reason}")
        position = standing(job).position
        attempt = Attempt.objects.get(pk=lease.attempt_id)
        Attempt.objects.filter(pk=attempt.pk).update(yield_ms=yield_ms, return_position=position)
        waited = attempt.ended_at - attempt.preempt_requested_at
        detail = {
            "reason": reason,
            "step": ran.steps,
            "waited_ms": round(1000 * waited.total_seconds()),
            "yield_ms": yield_ms,
            "position": position,
        }
        operations.report("attempt.preempted", "info", f"job:{job.pk}", detail)
    return job

"""Taking the device back from a running job between two of its steps; policy/preemption.py decides from whom.

The job goes back to the head of its lane with its progress, exactly as when its worker drains; what that cost and
where it stands afterwards is kept with the attempt.
"""

from datetime import datetime

from django.db import connection, transaction

from accounts import operations
from generation import dispatch, finalization, rounds
from generation.models import Attempt, Job, LaneOrganization, Pool, Worker
from generation.policy import preemption as policy
from generation.scheduling import lane_settings, pool_settings
from generation.scheduling.leases import Lease
from generation.scheduling.pool_settings import PoolTerms
from generation.scheduling.standing import standing

# Only a job that still denoises has a device to give back, and only lanes that said so are interrupted. One job has
# one live attempt at most, so that its earlier ones, counted here, can't grow meanwhile.
ASK = """
UPDATE generation_attempt a SET preempt_requested_at = clock_timestamp(), preempt_reason = left(%(reason)s, 200)
  FROM generation_job j, generation_lane l
 WHERE a.id = %(id)s AND a.ended_at IS NULL AND a.preempt_requested_at IS NULL
   AND j.id = a.job_id AND j.state = 'running' AND l.slug = j.lane_id AND l.preemptible
   AND (SELECT count(*) FROM generation_attempt p
         WHERE p.job_id = j.id AND p.preempt_requested_at IS NOT NULL) < %(most)s
"""

# Per lane that is not preemptible: its jobs over the bound that a free device could start now (of each organization
# at most what its burst cap leaves), and the longest of those waits.
OVERDUE = """
SELECT w.lane_id, sum(least(w.jobs, w.room)), max(w.longest)
  FROM (SELECT j.lane_id, count(*) AS jobs, greatest(0, c.most - o.running) AS room,
               max(extract(epoch FROM %(now)s - j.queued_at)) AS longest
          FROM generation_job j
          JOIN unnest(%(lanes)s::text[], %(caps)s::int[]) AS c(lane, most) ON c.lane = j.lane_id
          JOIN generation_laneorganization o ON o.lane_id = j.lane_id AND o.organization_id = j.organization_id
         WHERE j.state = 'queued' AND j.queued_at < %(now)s - make_interval(secs => %(bound)s)
         GROUP BY j.lane_id, j.organization_id, c.most, o.running) AS w
 WHERE w.room > 0
 GROUP BY w.lane_id
"""

# Attempts that have a device of a worker that goes on: a draining one gives it to nobody. Time per step is measured
# on the attempt itself; before its first step the registry's estimate stands.
TURNS = """
SELECT a.id, a.lane_id, l.preemptible, a.step, a.resumed_from_step, j.steps, j.estimate_gpu_ms,
       extract(epoch FROM clock_timestamp() - a.started_at) * 1000, a.charged_gpu_ms, a.charged_weight,
       a.preempt_requested_at IS NOT NULL,
       (SELECT count(*) FROM generation_attempt p WHERE p.job_id = j.id AND p.preempt_requested_at IS NOT NULL)
  FROM generation_attempt a
  JOIN generation_job j ON j.id = a.job_id JOIN generation_lane l ON l.slug = a.lane_id
  JOIN generation_worker w ON w.id = a.worker_id
 WHERE a.ended_at IS NULL AND j.state = 'running' AND w.pool_id = %s AND w.stopped_at IS NULL AND w.desired = 'run'
"""


def request(attempt_id: int, reason: str, most: int = 2**31 - 1) -> bool:
    """Ask a running attempt to yield; its worker reads it with its next step. False where there is nothing to ask:
    it has ended, is finishing, was asked before, its job was asked `most` times, or its lane is not preemptible."""
    if not reason.strip():
        raise ValueError("A preemption needs its reason.")
    with connection.cursor() as cursor:
        cursor.execute(ASK, {"id": attempt_id, "reason": reason.strip(), "most": most})
        return cursor.rowcount == 1


def run(now: datetime) -> list[int]:
    """One look at every pool: ask who is to give way by the policy; the attempts that were asked."""
    with transaction.atomic():
        if not rounds.is_mine("generation.preemption"):  # two would interrupt two for the same waiting job
            return []
        return [
            attempt
            for slug, terms in pool_settings.pools(now).items()
            if terms.most_preemptions and not terms.paused
            for attempt in _in_pool(slug, terms, now)
        ]


def _in_pool(pool_slug: str, terms: PoolTerms, now: datetime) -> list[int]:
    overdue = _overdue(pool_slug, terms, now)
    if not overdue:
        return []
    turns = _turns(pool_slug)
    idle = _slots(pool_slug) - len(turns)
    views = dispatch.lane_views(pool_slug, now, {lane.lane for lane in overdue} | _waiting_lanes(pool_slug))
    virtual_time = Pool.objects.values_list("virtual_time", flat=True).get(pk=pool_slug)
    bounds = policy.Terms(terms.most_preemptions, terms.soon_s)
    chosen = policy.who_yields(overdue, turns, idle, views, virtual_time, bounds)
    return [one.attempt_id for one in chosen if request(one.attempt_id, _why(one), terms.most_preemptions)]


def _why(one: policy.Yielding) -> str:
    return f"a job in {one.to_lane} has waited {one.waited_s:.0f} s"


def _overdue(pool_slug: str, terms: PoolTerms, now: datetime) -> list[policy.Overdue]:
    paid = [lane for lane in lane_settings.lanes(pool_slug) if not lane.preemptible]
    values = {
        "now": now,
        "bound": terms.preempt_after_s,
        "lanes": [lane.slug for lane in paid],
        "caps": [lane_settings.effective(lane, now).max_running for lane in paid],
    }
    with connection.cursor() as cursor:
        cursor.execute(OVERDUE, values)
        return [policy.Overdue(lane, int(jobs), float(longest)) for lane, jobs, longest in cursor.fetchall()]


def _turns(pool_slug: str) -> list[policy.Turn]:
    with connection.cursor() as cursor:
        cursor.execute(TURNS, [pool_slug])
        return [_turn(*row) for row in cursor.fetchall()]


def _turn(
    attempt, lane, preemptible, step, resumed, steps, estimate, gone_ms, charged, weight, asked, asked_in_all
) -> policy.Turn:
    ran, gone_ms = step - resumed, float(gone_ms)
    left_ms = gone_ms / ran * max(0, steps - step) if ran > 0 else max(0.0, estimate - gone_ms)
    return policy.Turn(
        attempt_id=attempt,
        lane=lane,
        preemptible=preemptible,
        done=step / steps if steps else 0.0,
        left_s=left_ms / 1000,
        preemptions=asked_in_all,
        asked=asked,
        charged_gpu_ms=charged,
        ran_gpu_ms=min(gone_ms, charged),
        charged_weight=weight,
    )


def _slots(pool_slug: str) -> int:
    live = Worker.objects.filter(pool=pool_slug, stopped_at=None, desired=Worker.Desired.RUN)
    return sum(live.values_list("slots", flat=True))


def _waiting_lanes(pool_slug: str) -> set[str]:
    waiting = LaneOrganization.objects.filter(lane__pool=pool_slug, waiting__gt=0)
    return set(waiting.values_list("lane", flat=True).distinct())


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

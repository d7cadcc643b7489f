"""Which pool a job goes to: a tier's lanes of its kind, in their order of preference, first that can serve it.

A pool can serve a job where its workers load the model (its own pool, and those of `also_pools`), its precision fits,
and one of its workers takes jobs. Where none does, the first that fits takes the job, and it starts when a worker
comes. A job that waits is moved when its pool has lost its last worker.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction

from accounts import batch
from accounts.errors import ApiError
from accounts.models import Tier
from generation.models import Job, Lane, Pool, RegisteredModel
from generation.scheduling import tickets

# Most jobs that one round moves from a lane; the next round is a second away.
MOST_MOVED = 500
MOST_TICKETS = 8

# Jobs that wait where nobody takes them, each with the first lane of its tier that somebody serves.
STRANDED = """
WITH served AS (SELECT DISTINCT pool_id FROM generation_worker WHERE stopped_at IS NULL AND desired = 'run'),
stranded AS (
  SELECT j.id, j.lane_id, l.tier_id, m.pool_id, m.also_pools, coalesce(j.spec ->> 'precision', m.precision) AS precision
    FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
    JOIN generation_registeredmodel m ON m.id = j.model_id
   WHERE j.state = 'queued' AND cardinality(m.also_pools) > 0 AND l.pool_id NOT IN (SELECT pool_id FROM served)
   ORDER BY j.queued_at LIMIT %s FOR UPDATE OF j SKIP LOCKED)
SELECT s.id, t.slug, t.pool_id
  FROM stranded s, LATERAL (
    SELECT l.slug, l.pool_id FROM generation_lane l JOIN generation_pool p ON p.slug = l.pool_id
     WHERE l.tier_id = s.tier_id AND (l.pool_id = s.pool_id OR l.pool_id = ANY (s.also_pools))
       AND l.pool_id IN (SELECT pool_id FROM served) AND p.precision IN ('', s.precision)
     ORDER BY l.preference, l.slug LIMIT 1) AS t
"""


# The tier of an organization at a moment.
TIER = """
(SELECT e.tier_id FROM accounts_enrollment e WHERE e.organization_id = %s AND e.effective_from <= %s
  ORDER BY e.effective_from DESC, e.id DESC LIMIT 1)
"""
# The lanes of a kind that an organization's tier has, in their order, and whether somebody takes jobs there.
LANES = f"""
SELECT EXISTS (SELECT 1 FROM generation_worker w
                WHERE w.pool_id = p.slug AND w.stopped_at IS NULL AND w.desired = 'run'),
       {batch.columns(Lane, "l")}, {batch.columns(Pool, "p")}, {batch.columns(Tier, "t")}
  FROM generation_lane l JOIN generation_pool p ON p.slug = l.pool_id JOIN accounts_tier t ON t.slug = l.tier_id
 WHERE p.kind = %s AND l.tier_id = {TIER}
 ORDER BY l.preference, l.slug
"""


def lanes_of(organization_id: int, kind: str, now: datetime) -> batch.Statement:
    """The statement whose rows `lane_for` takes."""
    return LANES, (kind, organization_id, now)


def lane_for(rows: Sequence[tuple], model: RegisteredModel, precision: str) -> Lane:
    """The lane that a new job goes to. Raises `ApiError` model_unavailable where none fits."""
    pools = {model.pool_id, *model.also_pools}
    lanes = [lane for lane in map(_lane, rows) if lane.pool_id in pools]
    chosen = first_that_serves(lanes, precision)
    if chosen is None:
        message = f"No pool here takes {model.name} at {precision}. Nothing was queued or charged."
        raise ApiError("model_unavailable", message, param="model")
    return chosen


def _lane(row: tuple) -> Lane:
    """A lane with its pool, its tier and whether the pool `serves`, from a row of `LANES`."""
    serves, *values = row
    lane, lane.pool, lane.tier = batch.instances((Lane, Pool, Tier), values)
    lane.serves = serves
    return lane


def first_that_serves(lanes: Sequence[Lane], precision: str) -> Lane | None:
    """The first lane whose pool fits and has a worker; else the first that fits; None where none fits."""
    fitting = [lane for lane in lanes if lane.pool.precision in ("", precision)]
    return next((lane for lane in fitting if getattr(lane, "serves", True)), fitting[0] if fitting else None)


@transaction.atomic
def reroute() -> int:
    """Move jobs that wait in pools without a worker to the next pool that can serve them; how many were moved.

    Their places in the queue go by the time they were queued, so they come where they would be had they begun there.
    """
    with connection.cursor() as cursor:
        cursor.execute(STRANDED, [MOST_MOVED])
        moves = cursor.fetchall()
        if moves:
            # A claim counts several organizations' jobs under its pool's lock: whoever else does takes it as well, or
            # each may wait for a count that the other has.
            cursor.execute("SELECT 1 FROM generation_pool ORDER BY slug FOR NO KEY UPDATE")
    tickets_for: dict[str, int] = {}
    for job, lane, pool in moves:
        Job.objects.filter(pk=job).update(lane=lane)
        tickets_for[pool] = tickets_for.get(pool, 0) + 1
    for pool, jobs in tickets_for.items():
        for _ in range(min(jobs, MOST_TICKETS)):
            tickets.send_after_commit(pool)
    return len(moves)

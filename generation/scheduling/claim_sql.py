"""What a claim reads and writes: two round trips, each of statements that the server keeps planned (accounts/batch.py).

Every read is a probe of an index that holds only what may be next, so that neither what waits behind it nor who is at
its cap is ever stepped over. `%s` marks a parameter.
"""

from accounts import batch
from generation.models import Attempt, Job, Lane, RegisteredModel

# The lock: tags, counts and caps of one pool are read and written by one claim at a time.
# Plans are kept as they are, whatever the parameters: a plan made anew costs more than all that it finds.
LOCK_POOL = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', true) FROM generation_pool
 WHERE slug = %s FOR NO KEY UPDATE
"""

ORPHANS = """
SELECT j.id FROM generation_lane l CROSS JOIN LATERAL (
    SELECT id, queued_at FROM generation_job
     WHERE lane_id = l.slug AND state = 'finishing' AND ahead_of_lane
       AND NOT EXISTS (SELECT 1 FROM generation_attempt a WHERE a.job_id = generation_job.id AND a.ended_at IS NULL)
     ORDER BY queued_at LIMIT %s FOR UPDATE SKIP LOCKED) j
 WHERE l.pool_id = %s ORDER BY j.queued_at LIMIT %s
"""

# For organizations, which all have weight 1, this is fair_share.put_right: each attempt's error, and errors add up.
CORRECTED = """
WITH ended AS (
  UPDATE generation_attempt SET corrected = true
   WHERE ended_at IS NOT NULL AND NOT corrected
     AND lane_id = ANY (ARRAY(SELECT slug FROM generation_lane WHERE pool_id = %s))
  RETURNING lane_id, organization_id, charged_gpu_ms, gpu_ms, charged_weight),
inside AS (
  UPDATE generation_laneorganization o
     SET tag = greatest(o.tag, l.organization_virtual_time - o.owed) + e.error,
         owed = greatest(0, l.organization_virtual_time
                            - (greatest(o.tag, l.organization_virtual_time - o.owed) + e.error))
    FROM (SELECT lane_id, organization_id, sum(gpu_ms - charged_gpu_ms)::float8 AS error
            FROM ended GROUP BY 1, 2) e JOIN generation_lane l ON l.slug = e.lane_id
   WHERE o.lane_id = e.lane_id AND o.organization_id = e.organization_id AND e.error <> 0)
SELECT lane_id, charged_gpu_ms, gpu_ms, charged_weight FROM ended
"""

# The capacity in force: an override before the row's own, and never more than an endpoint that is full takes; and
# whether somebody paused the pool.
POOL = """
SELECT clock_timestamp(), p.virtual_time, c.units_micro,
       CASE WHEN c.units_micro IS NULL THEN 0 ELSE
         (SELECT coalesce(sum(o.running_units_micro), 0)::bigint FROM generation_laneorganization o
           WHERE o.running > 0 AND o.lane_id = ANY (ARRAY(SELECT slug FROM generation_lane WHERE pool_id = p.slug)))
       END,
       coalesce((SELECT o.value = 'true' FROM generation_pooloverride o
                  WHERE o.pool_id = p.slug AND o.field = 'paused' AND o.removed_at IS NULL
                    AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
                  ORDER BY o.created_at DESC, o.id DESC LIMIT 1), false)
  FROM generation_pool p, LATERAL (SELECT least(
    coalesce((SELECT (o.value #>> '{}')::numeric::bigint FROM generation_pooloverride o
               WHERE o.pool_id = p.slug AND o.field = 'capacity_units_micro' AND o.removed_at IS NULL
                 AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
               ORDER BY o.created_at DESC, o.id DESC LIMIT 1), p.capacity_units_micro),
    (SELECT e.capacity_units_micro FROM generation_endpointload e
      WHERE e.pool_id = p.slug AND e.at > clock_timestamp() - interval '15 seconds')) AS units_micro) AS c
 WHERE p.slug = %s
"""

LANES = """
SELECT slug, weight, floor, max_running, max_units_micro, tag, organization_virtual_time, recent_gpu_ms, recent_at,
       at_cap_under, owed
  FROM generation_lane WHERE pool_id = %s ORDER BY slug
"""

OVERRIDES = """
SELECT o.lane_id, o.field, o.value, o.created_at, o.expires_at, o.removed_at
  FROM generation_laneoverride o JOIN generation_lane l ON l.slug = o.lane_id
 WHERE l.pool_id = %s AND o.removed_at IS NULL AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
 ORDER BY o.id
"""

# The first organizations of each lane and the first jobs of each. To take n jobs, n places reach, and as one is taken
# from again only when those before it were, each needs one job fewer than the one before it (and one more, to know
# whether it will be at its cap). Where many organizations wait they share the turns, so a few jobs of each will do:
# if they don't, `ReadOn` says so.
HEADS = """
SELECT l.slug, o.id, o.organization_id, o.tag, o.running, o.running_units_micro, o.waiting, o.owed, j.id,
       j.units_micro, j.estimate_gpu_ms
  FROM generation_lane l CROSS JOIN LATERAL (
    SELECT row_number() OVER (ORDER BY tag, id) AS rank, count(*) OVER () AS places, * FROM (
      SELECT p.* FROM generation_laneorganization p
       WHERE p.lane_id = l.slug AND p.has_waiting AND NOT p.at_cap AND (%s OR EXISTS (
         SELECT 1 FROM generation_job
          WHERE lane_id = p.lane_id AND organization_id = p.organization_id AND state = 'queued'
            AND id <> ALL (%s::uuid[])))
       ORDER BY p.tag, p.id LIMIT %s) first) o
  CROSS JOIN LATERAL (
    SELECT id, units_micro, estimate_gpu_ms, ahead_of_lane, queued_at FROM generation_job
     WHERE lane_id = o.lane_id AND organization_id = o.organization_id AND state = 'queued' AND id <> ALL (%s::uuid[])
     ORDER BY ahead_of_lane DESC, queued_at, id
     LIMIT least(%s::int - o.rank + 2, 2 * %s::int / o.places + 1)) j
 WHERE l.pool_id = %s
 ORDER BY l.slug, o.rank, j.ahead_of_lane DESC, j.queued_at, j.id
"""

NEW_ATTEMPTS = """
  INSERT INTO generation_attempt (job_id, worker_id, lane_id, organization_id, fence, lease_seconds, lease_expires_at,
      started_at, outcome, detail, step, stage, resumed_from_step, checkpoints, preview, device, threads, stages,
      refused_checkpoints, charged_gpu_ms, charged_weight, gpu_ms, corrected)
"""

# Everything that taking these jobs changes, if every one of them is still waiting and free; otherwise nothing. A place
# is judged by the counts that it has now: a job of its that ended since the read has given it room.
TAKE = (
    """
WITH asked AS (
  SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::float8[]) WITH ORDINALITY AS a (job_id, charged, weight, turn)),
free AS MATERIALIZED (
  SELECT j.id FROM generation_job j WHERE j.id = ANY (%s::uuid[]) AND j.state = 'queued'
     FOR UPDATE SKIP LOCKED),
whole AS MATERIALIZED (SELECT count(*) = (SELECT count(*) FROM asked) AS yes FROM free),
attempts AS (
  """
    + NEW_ATTEMPTS
    + """
  SELECT id, %s::uuid, lane_id, organization_id, nextval('generation_fence'), lease_seconds,
         clock_timestamp() + make_interval(secs => lease_seconds), clock_timestamp(), '', '', 0, 'claimed', 0, 0, '',
         %s::text, 0, '{}', '{}', charged, weight, 0, false
    FROM (SELECT j.id, j.lane_id, j.organization_id, m.lease_seconds, a.charged, a.weight
            FROM asked a JOIN generation_job j ON j.id = a.job_id
            JOIN generation_registeredmodel m ON m.id = j.model_id
           WHERE (SELECT yes FROM whole) ORDER BY a.turn) in_turn
  RETURNING job_id, fence, started_at),
jobs AS (
  UPDATE generation_job j
     SET fence = a.fence, ahead_of_lane = false, started_at = coalesce(j.started_at, a.started_at), state = 'running',
         state_cause = left('claimed by ' || %s::text || ' under fence ' || a.fence, 200)
    FROM attempts a WHERE j.id = a.job_id),
lanes AS (
  UPDATE generation_lane l
     SET tag = v.tag, organization_virtual_time = v.inner_time, recent_gpu_ms = v.recent, recent_at = v.at,
         at_cap_under = v.caps, owed = v.owed
    FROM unnest(%s::text[], %s::float8[], %s::float8[], %s::float8[], %s::timestamptz[], %s::text[], %s::float8[])
         AS v (slug, tag, inner_time, recent, at, caps, owed)
   WHERE l.slug = v.slug AND (SELECT yes FROM whole)),
places AS (
  UPDATE generation_laneorganization o
     SET tag = v.tag, owed = v.owed,
         at_cap = o.running + v.taken >= v.most OR coalesce(o.running_units_micro + v.units > 0
                  AND o.running_units_micro + v.units + v.next_units > v.most_units, false)
    FROM unnest(%s::bigint[], %s::float8[], %s::float8[], %s::int[], %s::bigint[], %s::bigint[], %s::int[],
                %s::bigint[])
         AS v (id, tag, owed, taken, units, next_units, most, most_units)
   WHERE o.id = v.id AND (SELECT yes FROM whole)),
pool AS (
  UPDATE generation_pool SET virtual_time = %s::float8 WHERE slug = %s AND (SELECT yes FROM whole))
SELECT yes FROM whole
"""
)

# Other caps are in force than those that `at_cap` was decided under.
UNDER_OTHER_CAPS = """
UPDATE generation_laneorganization o
   SET at_cap = o.running >= v.most OR coalesce(o.running_units_micro >= v.most_units, false)
  FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS v (lane_id, most, most_units)
 WHERE o.lane_id = v.lane_id
   AND o.at_cap <> (o.running >= v.most OR coalesce(o.running_units_micro >= v.most_units, false))
"""

ADOPT = (
    """
WITH attempts AS (
  """
    + NEW_ATTEMPTS
    + """
  SELECT j.id, %s::uuid, j.lane_id, j.organization_id, nextval('generation_fence'), m.lease_seconds,
         clock_timestamp() + make_interval(secs => m.lease_seconds), clock_timestamp(), '', '', 0, 'claimed', 0, 0, '',
         %s::text, 0, '{}', '{}', 0, 1.0, 0, false
    FROM generation_job j JOIN generation_registeredmodel m ON m.id = j.model_id
   WHERE j.id = ANY (%s::uuid[]) ORDER BY j.queued_at
  RETURNING job_id, fence)
UPDATE generation_job j SET fence = a.fence, ahead_of_lane = false FROM attempts a WHERE j.id = a.job_id
"""
)

# What a worker needs of its new attempts, in the round trip that made them.
WORK = f"""
SELECT {batch.columns(Attempt, "a")}, {batch.columns(Job, "j")} FROM generation_attempt a
  JOIN generation_job j ON j.id = a.job_id
 WHERE a.job_id = ANY (%s::uuid[]) AND a.ended_at IS NULL ORDER BY a.fence
"""
MODELS = f"""
SELECT {batch.columns(RegisteredModel, "m")} FROM generation_registeredmodel m
 WHERE m.id IN (SELECT model_id FROM generation_job WHERE id = ANY (%s::uuid[]))
"""
THEIR_LANES = f"""
SELECT {batch.columns(Lane, "l")} FROM generation_lane l
 WHERE l.slug IN (SELECT lane_id FROM generation_job WHERE id = ANY (%s::uuid[]))
"""

FREE = "SELECT id FROM generation_job WHERE id = ANY (%s) AND state = 'queued' FOR UPDATE SKIP LOCKED"

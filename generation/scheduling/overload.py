"""Refusing early what would wait too long: 503 with the time after which it would be accepted.

The wait is that of a fluid (policy/drain.py) over what waits now, so it is true while nothing more comes: after
`Retry-After` as much has drained as the bound asks for. Inside a lane organizations take turns, so what a flooder has
waiting counts against itself and hardly against anybody else. A pool without a worker refuses nothing on this account:
nobody knows when it will have one, and the job's page says so.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts import batch, operations
from accounts.errors import ApiError
from accounts.models import OperationalEvent
from generation.models import EndpointLoad, Lane, RegisteredModel
from generation.policy import drain
from generation.scheduling import lane_settings, pool_settings
from generation.scheduling.routing import TIER

TOLD_EVERY = timedelta(minutes=1)
FRESH = timedelta(seconds=15)

# For each lane that a tier has of a kind: the jobs that wait per lane of its pool; in that lane itself, those that
# would go before the organization's next.
CROWD = f"""
WITH mine AS (
  SELECT l.slug, l.pool_id, coalesce((SELECT o.waiting FROM generation_laneorganization o
                                       WHERE o.lane_id = l.slug AND o.organization_id = %s), 0) AS jobs
    FROM generation_lane l JOIN generation_pool p ON p.slug = l.pool_id
   WHERE p.kind = %s AND l.tier_id = {TIER})
SELECT m.slug, c.lane_id, c.jobs
  FROM mine m CROSS JOIN LATERAL (
    SELECT o.lane_id, sum(CASE WHEN o.lane_id = m.slug AND o.organization_id <> %s
                               THEN least(o.waiting, m.jobs + 1) ELSE o.waiting END)::bigint AS jobs
      FROM generation_laneorganization o
     WHERE o.waiting > 0 AND o.lane_id = ANY (ARRAY(SELECT slug FROM generation_lane WHERE pool_id = m.pool_id))
     GROUP BY o.lane_id) AS c
"""
SLOTS = """
SELECT pool_id, sum(slots)::bigint FROM generation_worker
 WHERE stopped_at IS NULL AND desired = 'run' GROUP BY pool_id
"""
# Device time of the model's last delivered jobs.
SERVICE = """
SELECT avg(a.gpu_ms)::float8 FROM (SELECT id FROM generation_job WHERE model_id = %s AND state = 'delivered'
                             ORDER BY finished_at DESC LIMIT 20) AS recent
  JOIN generation_attempt a ON a.job_id = recent.id AND a.outcome = 'delivered' AND a.gpu_ms > 0
"""


@dataclass(frozen=True)
class Expected:
    """Seconds that a request made now would wait for its start, and the bound in force (0: none)."""

    wait_s: float
    most_s: float

    @property
    def retry_after_s(self) -> int:
        """When the wait will have drained to the bound."""
        return max(1, math.ceil(self.wait_s - self.most_s))


@dataclass(frozen=True)
class Crowd:
    """What waits for the lanes that a request may go to, and what serves; the rows of `crowd_of`."""

    waiting: list[tuple]
    slots: list[tuple]


def crowd_of(organization_id: int, kind: str, now: datetime) -> list[batch.Statement]:
    """The statements whose rows a `Crowd` is made of: they go with what a request is weighed by."""
    values = (organization_id, kind, organization_id, now, organization_id)
    return [(CROWD, values), (SLOTS, ())]


def require_room(crowd: Crowd, lane: Lane, model: RegisteredModel, gpu_ms: int, now: datetime) -> None:
    """Raises `ApiError` server_is_overloaded where the request would wait longer than the pool's bound. No round trip
    where nothing waits in the pool."""
    found = expected(crowd, lane, model, gpu_ms, now)
    if found is None or not found.most_s or found.wait_s <= found.most_s:
        return
    _tell(lane.pool_id, found, now)
    message = (
        f"Too much waits here: this request would start in about {_minutes(found.wait_s)}, and at most "
        f"{_minutes(found.most_s)} are accepted. Nothing was queued, held or charged; try again in "
        f"{found.retry_after_s} s."
    )
    raise ApiError("server_is_overloaded", message, retry_after_s=found.retry_after_s)


def expected(crowd: Crowd, lane: Lane, model: RegisteredModel, gpu_ms: int, now: datetime) -> Expected | None:
    """The wait of a request in a lane; None where nothing waits in its pool or the pool has no worker."""
    waiting = {slug: int(jobs) for mine, slug, jobs in crowd.waiting if mine == lane.pk}
    slots = dict(crowd.slots).get(lane.pool_id, 0)
    if not waiting or not slots:
        return None
    (service,) = batch.read([(SERVICE, (model.pk,))])
    service_s = (service[0][0] or gpu_ms) / 1000
    backlog = {slug: jobs * service_s for slug, jobs in waiting.items()}
    weights = {
        one.slug: lane_settings.effective(one, now).weight for one in lane_settings.lanes(lane.pool_id)
    }
    wait_s = drain.drain_s(backlog, weights, lane.pk, _devices(lane.pool_id, slots, now))
    return Expected(wait_s, pool_settings.of_pool(lane.pool_id, now).most_wait_s)


def _devices(pool_slug: str, slots: int, now: datetime) -> int:
    """What serves at once: the slots, or what an endpoint that is full has in its batch, where that is less."""
    load = EndpointLoad.objects.filter(pool=pool_slug, at__gte=now - FRESH).first()
    if load is None or load.capacity_units_micro is None:
        return slots
    return max(1, min(slots, load.running))


def _tell(pool_slug: str, found: Expected, now: datetime) -> None:
    """One event a minute and pool, however many are refused."""
    kind, subject = "pool.overloaded", f"pool:{pool_slug}"
    if not OperationalEvent.objects.filter(kind=kind, subject=subject, at__gte=now - TOLD_EVERY).exists():
        detail = {"wait_s": round(found.wait_s), "most_s": found.most_s}
        operations.report(kind, "warning", subject, detail)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

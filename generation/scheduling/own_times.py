"""How long an organization's own jobs waited and took, by model. Reading only."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection


@dataclass(frozen=True)
class Times:
    """One model's jobs in a span. Waits run from first enqueue to first start, times in system to delivery; seconds."""

    model: str
    kind: str
    jobs: int
    delivered: int
    wait_p50_s: float | None
    wait_p95_s: float | None
    took_p50_s: float | None
    took_p95_s: float | None


_TIMES = """
SELECT m.name, j.kind, count(*), count(*) FILTER (WHERE j.state = 'delivered'),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM j.started_at - j.queued_at))
           FILTER (WHERE j.started_at IS NOT NULL),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM j.finished_at - j.created_at))
           FILTER (WHERE j.state = 'delivered')
  FROM generation_job j JOIN generation_registeredmodel m ON m.id = j.model_id
 WHERE j.organization_id = %s AND j.created_at >= %s AND j.created_at < %s
 GROUP BY 1, 2 ORDER BY 2, 1
"""


def times(organization_id: int, since: datetime, until: datetime) -> list[Times]:
    """By model, for the jobs made in the span; one query."""
    with connection.cursor() as cursor:
        cursor.execute(_TIMES, [organization_id, since, until])
        return [
            Times(model, kind, jobs, delivered, *(waits or (None, None)), *(took or (None, None)))
            for model, kind, jobs, delivered, waits, took in cursor.fetchall()
        ]

"""What people were told about when a job would be ready, and whether it was: the calibration of the estimates."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from accounts import batch
from generation.models import Job, State, ToldEta
from generation.scheduling.standing import Standing, standing

SPAN = timedelta(hours=24)
# Jobs that no request told about (a page's form redirects) are estimated by upkeep, a few a round.
MOST_A_ROUND = 10
FRESH = timedelta(seconds=30)
# Of the jobs behind so many, in a rush that is, every so manieth is kept: as good a statistic for a twentieth of it.
ALL_AMONG, EVERY = 50, 20

# A crash may take the last estimates along: nothing but a statistic rests on them, and the request need not wait.
WITHOUT_WAITING: batch.Statement = ("SELECT set_config('synchronous_commit', 'off', true)", ())

CALIBRATION = """
SELECT l.tier_id, m.name, count(*),
       count(*) FILTER (WHERE took BETWEEN t.low_s AND t.high_s), count(*) FILTER (WHERE took < t.low_s),
       count(*) FILTER (WHERE took > t.high_s), percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(took - t.eta_s))
  FROM generation_toldeta t JOIN generation_job j ON j.id = t.job_id
  JOIN generation_lane l ON l.slug = j.lane_id JOIN generation_registeredmodel m ON m.id = j.model_id,
  LATERAL (SELECT extract(epoch FROM j.finished_at - t.at)::float8 AS took) AS c
 WHERE j.state IN ('delivered', 'withdrawn') AND t.at >= %s AND t.at < %s
 GROUP BY l.tier_id, m.name ORDER BY l.tier_id, m.name
"""


@dataclass(frozen=True)
class Calibration:
    """Of a tier's delivered jobs on a model: how many ended inside the interval they were told, before it and after it.

    `off_s` is the median distance between the estimate and the end, in seconds.
    """

    tier: str
    model: str
    jobs: int
    inside: int
    early: int
    late: int
    off_s: float

    @property
    def share(self) -> float:
        return self.inside / self.jobs


def note(job: Job, place: Standing | None) -> None:
    """Keep the first estimate of a waiting job; one statement, and nothing where there is no estimate."""
    if place is None or place.position is None or place.eta_s is None:
        return
    if place.position > ALL_AMONG and job.pk.int % EVERY:
        return
    low, high = min(place.eta_low_s, place.eta_s), max(place.eta_high_s, place.eta_s)
    row = ToldEta(job=job, position=place.position, eta_s=place.eta_s, low_s=low, high_s=high)
    insert, values = batch.insertion(row)
    batch.read([WITHOUT_WAITING, (f"{insert} ON CONFLICT (job_id) DO NOTHING", values)])


def note_untold(now: datetime) -> int:
    """Estimate a few jobs that wait and were told nothing yet; how many were looked at."""
    untold = Job.objects.filter(state=State.QUEUED, queued_at__gte=now - FRESH, told_eta=None)
    untold = untold.exclude(source="api")
    jobs = list(untold.select_related("lane__tier", "model").order_by("queued_at")[:MOST_A_ROUND])
    for job in jobs:
        note(job, standing(job))
    return len(jobs)


def calibration(now: datetime, span: timedelta = SPAN) -> list[Calibration]:
    """Tier and model → how often the interval held, for jobs told in the span before `now`; one query."""
    with connection.cursor() as cursor:
        cursor.execute(CALIBRATION, [now - span, now])
        return [Calibration(*row) for row in cursor.fetchall()]

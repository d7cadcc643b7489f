"""Whom an incident met: the jobs that its alarm is about, and their organizations.

Job events are found by their number, as alarms find them (`alarms/measuring.py`), backwards and so many at most, so
that this takes as long with ten million jobs as with ten thousand. What people opened without an alarm met whatever
failed, was blocked or came late meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

MOST_EVENTS = 20_000
JOBS_NAMED, ORGANIZATIONS_NAMED = 20, 10
ROUND_BEFORE = timedelta(minutes=2)  # a round's minute may have begun that long before what happened in it

WITHIN = """
SELECT e.job_id AS id FROM (
  SELECT job_id, from_state, to_state FROM generation_jobevent
   WHERE id > %(after)s AND at >= %(since)s AND at < %(until)s ORDER BY id DESC LIMIT %(most)s) e
  JOIN generation_job j ON j.id = e.job_id JOIN generation_lane l ON l.slug = j.lane_id
"""
LATE = """
  (e.to_state = 'delivered' AND j.kind = 'clip' AND j.finished_at - j.queued_at > (
     SELECT make_interval(secs => t.target_s) FROM billing_slatarget t
      WHERE t.tier_id = l.tier_id
        AND t.model IN ('', (SELECT name FROM generation_registeredmodel WHERE id = j.model_id))
        AND t.max_seconds >= (j.spec->>'seconds')::float AND t.effective_from <= j.queued_at
      ORDER BY t.model = '', t.max_seconds, t.effective_from DESC LIMIT 1))
"""
STOPPED = "e.to_state IN ('failed', 'blocked')"
WAITS = """
SELECT j.id FROM generation_job j JOIN generation_lane l ON l.slug = j.lane_id
 WHERE j.state IN ('screening', 'queued') AND j.queued_at < %(until)s AND l.pool_id = ANY(%(scopes)s)
"""
WAITED = f"""
{WITHIN} WHERE e.to_state = 'running' AND l.tier_id = 'plus' AND l.pool_id = ANY(%(scopes)s)
   AND j.started_at - j.queued_at > make_interval(secs => %(limit)s)
UNION
{WAITS} AND l.tier_id = 'plus' AND j.queued_at < %(until)s::timestamptz - make_interval(secs => %(limit)s)
"""  # noqa: S608  constants alone
HAPPENED = """
SELECT {job} AS id FROM accounts_operationalevent
 WHERE kind = ANY(ARRAY[{kinds}]) AND at >= %(since)s AND at < %(until)s
"""
OF_SUBJECT = "substr(subject, 5)::uuid"
BY_ALARM = {
    "": f"{WITHIN} WHERE {STOPPED} OR {LATE}",
    "not_finite": f"{WITHIN} WHERE e.to_state = 'failed' AND j.error_code = 'not_finite'",
    "availability": f"{WITHIN} WHERE e.to_state = 'failed' AND j.error_code <> 'not_finite'",
    "rejections": f"{WITHIN} WHERE e.to_state = 'blocked' AND j.kind = 'clip'"
    " AND coalesce(j.screening->>'category', '') = ANY(%(scopes)s)",
    "time_in_system": f"{WITHIN} WHERE {LATE}",
    "plus_starvation": WAITED,
    "plus_completions": WAITED,
    "no_worker": WAITS,
    "signing_down": f"{WITHIN} WHERE 'held' IN (e.from_state, e.to_state)",
    "retries": HAPPENED.format(job=OF_SUBJECT, kinds="'attempt.lost', 'attempt.failed'")
    + " AND subject LIKE 'job:%%'",
    "bypass": HAPPENED.format(job=OF_SUBJECT, kinds="'rescan.hit'") + " AND subject LIKE 'job:%%'",
    "unsafe_delivery": HAPPENED.format(job="(detail->>'job')::uuid", kinds="'verification.failed'"),
}
WAIT_LIMIT_S = 60.0  # where the alarm's threshold is no wait
COUNTED = """
WITH met AS MATERIALIZED (
  SELECT j.id, j.organization_id FROM (SELECT DISTINCT found.id FROM ({found}) found LIMIT %(most)s) distinct_ones
    JOIN generation_job j USING (id)),
organizations AS (SELECT organization_id, count(*) AS jobs FROM met GROUP BY organization_id)
SELECT (SELECT count(*) FROM met), (SELECT count(*) FROM organizations),
       (SELECT coalesce(json_agg(id), '[]') FROM (SELECT id FROM met LIMIT {jobs}) few),
       (SELECT coalesce(json_agg(row_to_json(few)), '[]') FROM (
          SELECT o.slug, o.name, g.jobs FROM organizations g JOIN accounts_organization o ON o.id = g.organization_id
           ORDER BY g.jobs DESC, o.slug LIMIT {organizations}) few)
"""
AFTER = """
SELECT coalesce((SELECT max(job_event_id) FROM console_alarmround WHERE minute < %s),
                (SELECT max(id) - %s FROM generation_jobevent), 0)
"""
LOOKED_BACK = 200_000  # job events, where no round is remembered from before


@dataclass(frozen=True)
class Affected:
    """How many, and of those the first few: ids of jobs, and organizations with slug, name and jobs."""

    jobs: int
    organizations: int
    named: dict


NOBODY = Affected(0, 0, {"jobs": [], "organizations": []})


def by_alarm(alarm: str, scopes: Sequence[str], limit: float, since: datetime, until: datetime) -> Affected:
    """Whom it met within a span of time; two queries. `limit` is the alarm's threshold, for alarms that are waits."""
    found = BY_ALARM.get(alarm)
    if found is None:
        return NOBODY
    with connection.cursor() as cursor:
        cursor.execute(AFTER, [since - ROUND_BEFORE, LOOKED_BACK])
        after = cursor.fetchone()[0]
        sql = COUNTED.format(found=found, jobs=JOBS_NAMED, organizations=ORGANIZATIONS_NAMED)
        limit_s = limit if alarm == "plus_starvation" else WAIT_LIMIT_S
        asked = {"after": after, "since": since, "until": until, "most": MOST_EVENTS, "limit": limit_s}
        cursor.execute(sql, asked | {"scopes": list(scopes)})
        jobs, organizations, ids, named = cursor.fetchone()
    return Affected(jobs, organizations, {"jobs": ids, "organizations": named})

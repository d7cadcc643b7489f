"""The jobs behind a point: the same rows that the roll-ups counted, by the same conditions (counted.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from accounts.errors import ApiError
from billing import spans
from console.overview.asked import FILTERS, iso
from console.overview.counted import (
    BY_NAME,
    REASONS,
    RETRIED,
    RETRIES,
    SLOW_START,
    SLOW_START_S,
    STARTED,
    WAITING,
    WORDS,
    changes,
)
from generation.late_clips import CUSTOMERS

WAITED = "waited"
LISTED = {**WORDS, WAITED: "Started, or waiting at the end"}
SHOWN = 100
COUNTED_TO = 10_000
LONGEST = timedelta(days=32)
JOB = """
  JOIN generation_lane l ON l.slug = j.lane_id JOIN generation_registeredmodel m ON m.id = j.model_id
"""
STARTS = f"""
  SELECT j.id AS job, j.started_at AS at FROM generation_lane l
    JOIN generation_job j ON j.lane_id = l.slug AND j.started_at >= %(since)s AND j.started_at < %(until)s
    JOIN generation_registeredmodel m ON m.id = j.model_id WHERE {CUSTOMERS} {{only}}
"""
SLOW = f"{STARTS} AND j.started_at - j.queued_at > interval '{SLOW_START_S} seconds'"
# As waiting.py keeps it: queued by then, and neither started nor ended without a start until after.
WAITS = f"""
  SELECT j.id AS job, j.queued_at AS at FROM generation_lane l
    JOIN generation_job j ON j.lane_id = l.slug AND j.started_at > %(until)s AND j.started_at <= %(last_start)s
    JOIN generation_registeredmodel m ON m.id = j.model_id
   WHERE j.queued_at <= %(until)s AND {CUSTOMERS} {{only}}
  UNION ALL
  SELECT j.id, j.queued_at FROM generation_jobevent e JOIN generation_job j ON j.id = e.job_id {JOB}
   WHERE e.at > %(until)s AND e.at <= %(last_start)s AND e.from_state IN ('queued', 'screening')
     AND e.to_state IN ('cancelled', 'failed', 'blocked') AND j.started_at IS NULL AND j.queued_at <= %(until)s
     AND {CUSTOMERS} {{only}}
  UNION ALL
  SELECT j.id, j.queued_at FROM generation_job j {JOB}
   WHERE j.state IN ('screening', 'queued') AND j.started_at IS NULL AND j.queued_at <= %(until)s
     AND {CUSTOMERS} {{only}}
"""
TRIED = f"""
  SELECT j.id AS job, o.at FROM accounts_operationalevent o
    JOIN generation_job j
      ON j.id = CASE WHEN o.subject ~ '^job:[0-9a-f-]{{{{36}}}}$' THEN substr(o.subject, 5)::uuid END
    {JOB} WHERE o.kind = ANY(%(retries)s::text[]) AND o.at >= %(since)s AND o.at < %(until)s
     AND {CUSTOMERS} {{only}}
"""
SOURCES = {
    STARTED: STARTS,
    SLOW_START: SLOW,
    WAITING: WAITS,
    WAITED: f"{STARTS} UNION ALL {WAITS}",
    RETRIED: TRIED,
}
# The whole list where it isn't too long: how many, beside each row of a page of it; with none, one row that says so.
COUNTED = """
WITH found AS MATERIALIZED (SELECT * FROM ({rows}) every_one LIMIT %(most)s),
     page AS (SELECT job, at FROM found ORDER BY at DESC, job OFFSET %(offset)s LIMIT %(shown)s)
SELECT counted.total, page.job, page.at FROM (SELECT count(*) AS total FROM found) counted LEFT JOIN page ON true
 ORDER BY page.at DESC, page.job
"""
# A list ends with its first thousands: each row's job is looked up by its key. The planner would rather read all of ten
# million jobs once than be wrong about how soon it may stop.
BY_KEY = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
NEWEST = "SELECT job, at FROM ({rows}) found ORDER BY at DESC, job OFFSET %(offset)s LIMIT %(shown)s"
COLUMNS = {"pool": "l.pool_id", "tier": "l.tier_id", "model": "m.name"}


@dataclass(frozen=True)
class Behind:
    """Which rows: what jobs did, when, and under which filters."""

    did: str
    since: datetime
    until: datetime
    only: Mapping[str, str]
    reason: str
    offset: int

    @property
    def words(self) -> str:
        return LISTED[self.did]

    @property
    def given(self) -> dict[str, str]:
        """The address, without where a page of it begins."""
        span = {"from": iso(self.since), "to": iso(self.until)}
        return {"did": self.did, **span, **self.only, **({"reason": self.reason} if self.reason else {})}


@dataclass(frozen=True)
class Found:
    """A page of rows, newest first: the job and when it did that. `total` is exact up to `COUNTED_TO`."""

    rows: list[tuple[UUID, datetime]]
    total: int

    @property
    def more(self) -> bool:
        return self.total > COUNTED_TO


def ask(given: Mapping[str, str], now: datetime, known: Mapping[str, Mapping[str, str]]) -> Behind:
    """What an address asks for. Raises `ApiError` naming what can't be."""
    did = given.get("did", "")
    if did not in LISTED:
        raise ApiError("invalid_value", f"`did` is one of {', '.join(LISTED)}.", param="did")
    until = spans.moment(given["to"], "to", end=True) if given.get("to") else now
    since = spans.moment(given["from"], "from") if given.get("from") else until - timedelta(hours=1)
    if not timedelta(0) <= until - since <= LONGEST:
        raise ApiError(
            "invalid_value", f"`from` lies before `to`, at most {LONGEST.days} days.", param="from"
        )
    only = {name: given[name] for name in FILTERS if given.get(name)}
    for name, value in only.items():
        if value not in known[name]:
            raise ApiError("invalid_value", f"There is no {name} {value!r:.40} to filter by.", param=name)
    offset = given.get("offset", "0")
    if not offset.isdecimal() or int(offset) > COUNTED_TO:
        raise ApiError("invalid_value", f"`offset` is a number up to {COUNTED_TO}.", param="offset")
    return Behind(did, since, until, only, given.get("reason", "")[:100], int(offset))


def find(asked: Behind, now: datetime) -> Found:
    """A page of the rows, and how many there are. One query; up to four where there are more than are counted."""
    rows, values = _source(asked), _values(asked, now)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(BY_KEY)
        cursor.execute(COUNTED.format(rows=rows), values)
        found = cursor.fetchall()
        total, page = found[0][0], [(job, at) for _, job, at in found if job]
        if total <= COUNTED_TO:
            return Found(page, total)
        for since in _back_from_the_end(asked):
            cursor.execute(NEWEST.format(rows=rows), {**values, "since": since})
            page = cursor.fetchall()
            # What lies before `since` is older than all of these, where they are all behind it.
            if len(page) == SHOWN and page[-1][1] >= since:
                break
        return Found(page, total)


def _back_from_the_end(asked: Behind) -> list[datetime]:
    """From when on the newest rows are looked for: of a span that holds very many, its end first."""
    if asked.did == WAITING:
        return [asked.since]
    return [*(asked.until - (asked.until - asked.since) / part for part in (32, 4)), asked.since]


def _values(asked: Behind, now: datetime) -> dict:
    return {
        "since": asked.since,
        "until": asked.until,
        "last_start": min(now, asked.until + timedelta(days=1)),
        "retries": list(RETRIES),
        "reason": "" if asked.reason == "none" else asked.reason,
        "most": COUNTED_TO + 1,
        "shown": SHOWN,
        "offset": asked.offset,
        **{f"only_{name}": value for name, value in asked.only.items()},
    }


def _source(asked: Behind) -> str:
    only = "".join(f" AND {COLUMNS[name]} = %(only_{name})s" for name in asked.only)
    if asked.did in SOURCES:
        return SOURCES[asked.did].format(only=only)
    if asked.reason and asked.did in REASONS:
        only += f" AND {REASONS[asked.did]} = %(reason)s"
    only = f"{BY_NAME[asked.did].condition} {only}"
    return f"""
      SELECT j.id AS job, e.at {changes(only)} WHERE e.at >= %(since)s AND e.at < %(until)s AND {only}
    """  # noqa: S608  conditions are from this code, values are bound

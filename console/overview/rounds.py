"""Rounds of the roll-ups: what is new is counted, what changed is counted again; by hand, any span from its rows.

A round counts the minutes that have more job events than when they were counted (the last ten are looked at each time,
and any older one that an event was committed into late), and merges the coarser steps that they lie in. Counting twice
gives the same rows. An event that is committed later than ten minutes after its time is found by `recompute` alone.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Max

from console.models import RolledMinute, Rollup, WaitingAges
from console.overview import coarser, minutes, waiting
from console.overview.plain import plainly
from console.overview.policy.grains import DAY, HOUR, KEPT, MINUTE, TEN_MINUTES, floor
from generation import rounds
from generation.models import JobEvent

NAME = "overview"
ONE = timedelta(minutes=1)
LOOKED_AT = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=1)  # how far a round looks back where nothing, or nothing lately, was counted
AT_ONCE = timedelta(hours=1)  # of a gap, in one round
# Minutes that have other events than they were counted from, or were counted before they were over.
CHANGED = """
WITH seen AS (
  SELECT date_bin('1 minute', at, timestamptz '2000-01-01 00:00+00') AS minute, count(*) AS events
    FROM generation_jobevent WHERE at >= %(since)s AND at < %(until)s GROUP BY 1)
SELECT t.minute
  FROM generate_series(%(since)s::timestamptz, %(until)s::timestamptz - interval '1 minute', '1 minute') t(minute)
  LEFT JOIN seen USING (minute) LEFT JOIN console_rolledminute r ON r.minute = t.minute
 WHERE r.minute IS NULL OR NOT r.whole OR r.events <> coalesce(seen.events, 0)
    OR (r.whole AND r.at < r.minute + interval '2 minutes' AND r.minute + interval '2 minutes' <= %(now)s::timestamptz)
"""
# By their numbers: what committed since a round that is ten minutes old, into minutes before those.
LATE = """
WITH late AS (
  SELECT DISTINCT date_bin('1 minute', e.at, timestamptz '2000-01-01 00:00+00') AS minute FROM generation_jobevent e
   WHERE e.id > (SELECT max(job_event_id) FROM console_rolledminute WHERE at < %(since)s)
     AND e.at >= %(oldest)s AND e.at < %(since)s)
SELECT late.minute FROM late LEFT JOIN console_rolledminute r ON r.minute = late.minute
 WHERE r.events IS DISTINCT FROM (
       SELECT count(*) FROM generation_jobevent e
        WHERE e.at >= late.minute AND e.at < late.minute + interval '1 minute')
"""


def run(now: datetime) -> int | None:
    """One round; how many minutes it counted, None where another process is at it."""
    with plainly():
        if not rounds.is_mine(NAME):
            return None
        until = floor(now, MINUTE) + ONE
        since = _unrolled_since(now)
        if since < until - LOOKED_AT:  # a gap: an hour at a time, the oldest first
            return _count(_minutes(since, min(since + AT_ONCE, until)), now)
        return _count(_touched(until - LOOKED_AT, until, now), now)


def _unrolled_since(now: datetime) -> datetime:
    newest = (
        RolledMinute.objects.filter(whole=True).order_by("-minute").values_list("minute", flat=True).first()
    )
    oldest = floor(now - FIRST_LOOK, HOUR)
    return oldest if newest is None else max(oldest, newest + ONE)


def _touched(since: datetime, until: datetime, now: datetime) -> set[datetime]:
    values = {"since": since, "until": until, "now": now, "oldest": now - FIRST_LOOK}
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, values)
        found = {minute for (minute,) in cursor.fetchall()}
        cursor.execute(LATE, values)
        return found | {minute for (minute,) in cursor.fetchall()}


def _count(touched: Iterable[datetime], now: datetime) -> int:
    """Count these minutes, keep who waited at the ends of those that are over, and merge."""
    touched = sorted(minute.astimezone(UTC) for minute in touched)
    newest = _newest_event()
    for since, until in _runs(touched):
        minutes.roll(since, until, newest, now)
        _keep_waiting(since, until, now)
    coarser.merge(touched)
    return len(touched)


def _newest_event() -> int:
    return JobEvent.objects.aggregate(newest=Max("pk"))["newest"] or 0


def _keep_waiting(since: datetime, until: datetime, now: datetime) -> None:
    last = min(until, floor(now, MINUTE))
    if last > since:
        waiting.keep(since + ONE, last, now)


def _runs(ordered: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Minutes side by side as spans, an hour long at most."""
    begin = end = None
    for minute in ordered:
        if begin is not None and (minute != end or end - begin >= AT_ONCE):
            yield begin, end
            begin = None
        begin, end = begin or minute, minute + ONE
    if begin is not None:
        yield begin, end


def _minutes(since: datetime, until: datetime) -> list[datetime]:
    return [since + ONE * step for step in range((until - since) // ONE)]


def recompute(since: datetime, now: datetime, say: Callable[[str], object]) -> int:
    """Count everything from the day of `since` on anew, from the rows alone; how many minutes.

    Whole days, so that nothing coarser is merged from minutes of which some are forgotten. An hour a transaction, and
    one more for what is merged of a day.
    """
    begin, end, counted = floor(since, DAY), floor(now, MINUTE) + ONE, 0
    for day in _starts(begin, end, timedelta(days=1)):
        day_end = min(day + timedelta(days=1), end)
        for hour in _starts(day, day_end, AT_ONCE):
            with _alone():
                minutes.roll(hour, min(hour + AT_ONCE, day_end), _newest_event(), now)
        with _alone():
            _keep_waiting(day, day_end, now)
            coarser.merge(found := _minutes(day, day_end))
        counted += len(found)
        say(f"{day:%Y-%m-%d}")
    return counted


@contextmanager
def _alone() -> Iterator[None]:
    """A transaction that holds the round; it waits for one that is under way."""
    with plainly(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [NAME])
        yield


def _starts(begin: datetime, end: datetime, width: timedelta) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += width


def forget(now: datetime) -> None:
    """Fine steps that no chart asks for any more; of who waited, full hours are kept as long as hours are."""
    with transaction.atomic():
        if not rounds.is_mine(NAME):
            return
        for grain in (MINUTE, TEN_MINUTES, HOUR):
            Rollup.objects.filter(grain=grain, at__lt=now - KEPT[grain]).delete()
        WaitingAges.objects.filter(at__lt=now - KEPT[HOUR]).delete()
        WaitingAges.objects.filter(at__lt=now - KEPT[MINUTE]).exclude(at__minute=0).delete()
        RolledMinute.objects.filter(minute__lt=now - 2 * FIRST_LOOK).delete()

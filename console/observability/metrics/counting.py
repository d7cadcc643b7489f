"""Totals of what only grows, right in every process at once: kept up to a number, and the rows behind it read anew.

Rows get their numbers inside transactions, and those end in any order. So a number counts as final only when every
transaction that ran when it was the newest one has ended, and a round is never quicker than one look to the next.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from console.models import MetricMark
from console.observability.metrics.sources import SOURCES, Source
from generation.job_changes import RUNNING
from generation.rounds import is_mine

Totals = dict[tuple[str, tuple[str, ...]], float]

# Rows that one round adds up, and that one scrape reads behind the totals: more waits for the rounds to come.
AT_ONCE, MOST_BEHIND = 100_000, 200_000

KEPT = """
SELECT m.source, m.counted_upto, t.series, t.labels, t.value
  FROM console_metricmark m LEFT JOIN console_metrictotal t ON t.source = m.source
"""
ADD = """
INSERT INTO console_metrictotal (source, series, labels, value)
SELECT %(source)s, series, labels, sum(value) FROM ({rows}) counted GROUP BY series, labels
ON CONFLICT (source, series, labels) DO UPDATE SET value = console_metrictotal.value + excluded.value
"""
READ = "SELECT series, labels, sum(value) FROM ({rows}) counted GROUP BY series, labels"
NEWEST = " UNION ALL ".join(
    f"SELECT '{source.name}', CASE WHEN is_called THEN last_value ELSE 0 END FROM {source.table}_id_seq"  # noqa: S608
    for source in SOURCES
)


@dataclass(frozen=True)
class Counted:
    """The totals as of now, and per source how many numbers lie behind what was kept."""

    totals: Totals
    behind: dict[str, int]


def run(now: datetime) -> int | None:
    """One round over all sources; how many rows' numbers were passed, None where another process is at it."""
    with transaction.atomic():
        if not is_mine("metrics"):
            return None
        known = {mark.source: mark for mark in MetricMark.objects.all()}
        with connection.cursor() as cursor:
            newest = _newest(cursor)
            cursor.execute(RUNNING)
            running = [number for (number,) in cursor.fetchall()]
            passed = 0
            for source in SOURCES:
                if source.name in known and known[source.name].counted_upto == newest[source.name]:
                    continue
                mark = known.get(source.name) or MetricMark(source=source.name)
                final = _final(mark, newest[source.name], running)
                passed += _count(cursor, source, mark, final)
                mark.counted_at = now
                mark.save()
            return passed


@contextmanager
def within(most_ms: int) -> Iterator[None]:
    """A transaction whose statements are given up after so long."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(most_ms)])
        yield


def read() -> Counted:
    """Everything counted as of now: two queries, and one for each source that has new rows."""
    totals: Totals = {}
    marks = dict.fromkeys((source.name for source in SOURCES), 0)
    with connection.cursor() as cursor:
        cursor.execute(KEPT)
        for source, upto, *series in cursor.fetchall():
            marks[source] = upto
            if series[0] is not None:
                _add(totals, [series])
        behind = {name: newest - marks[name] for name, newest in _newest(cursor).items()}
        for source in SOURCES:
            if behind[source.name] > 0:
                after, most = marks[source.name], min(behind[source.name], MOST_BEHIND)
                cursor.execute(READ.format(rows=source.rows), {"after": after, "upto": after + most})
                _add(totals, cursor.fetchall())
    return Counted(totals, behind)


def _add(totals: Totals, rows: Iterable[tuple]) -> None:
    for series, labels, value in rows:
        key = series, tuple(labels)
        totals[key] = totals.get(key, 0.0) + value


def _final(mark: MetricMark, newest: int, running: list[int]) -> int:
    """Up to which number every row is there. The newest one of now, read before who runs, is the next to become so."""
    final = mark.counted_upto
    if mark.coming_upto is not None and set(mark.coming_running) & set(running):
        return final
    if mark.coming_upto is not None:
        final = mark.coming_upto
    mark.coming_upto, mark.coming_running = newest, running
    return final


def _count(cursor, source: Source, mark: MetricMark, final: int) -> int:
    """Add up what has become final, so many rows at most; how many numbers that were."""
    before = mark.counted_upto
    upto = min(final, before + AT_ONCE)
    if source.unfinished:
        cursor.execute(
            f"SELECT min(id) FROM {source.table} WHERE id > %s AND id <= %s AND {source.unfinished}",  # noqa: S608
            [before, upto],
        )
        changing = cursor.fetchone()[0]
        upto = upto if changing is None else changing - 1
    if upto > before:
        cursor.execute(ADD.format(rows=source.rows), {"source": source.name, "after": before, "upto": upto})
        mark.counted_upto = upto
    return upto - before


def _newest(cursor) -> dict[str, int]:
    """The newest number that each source has given out."""
    cursor.execute(NEWEST)
    return dict(cursor.fetchall())

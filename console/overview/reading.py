"""Roll-ups read for a chart or a table: counts and histograms per step and group, one query each.

However many jobs there are, a query reads at most one row per step, lane and model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from console.overview.policy.grains import MINUTE, Steps
from console.overview.policy.spread import Spread, merged

Counts = dict[str, int]
GROUPS = ("", "pool", "tier", "model")


@dataclass(frozen=True)
class Span:
    """Whose steps are read: grain, from when to when, and which pool, tier or model alone."""

    since: datetime
    until: datetime
    grain: int
    only: Mapping[str, str]

    @classmethod
    def of(cls, steps: Steps, only: Mapping[str, str]) -> "Span":
        return cls(steps.since, steps.until, steps.grain, only)

    def where(self, *, leaving: Sequence[str] = ()) -> tuple[str, list]:
        """The condition and its values, without the filters that are left out."""
        only = {name: value for name, value in self.only.items() if name not in leaving}
        parts = "".join(f" AND {name} = %s" for name in only)
        return f"grain = %s AND at >= %s AND at < %s{parts}", [
            self.grain,
            self.since,
            self.until,
            *only.values(),
        ]


def counts(
    span: Span, names: Sequence[str], by: str = "", leaving: Sequence[str] = ()
) -> dict[tuple[str, datetime], Counts]:
    """(group, step) → the named counts. `by` is pool, tier or model, or nothing; `leaving` filters aside."""
    where, values = span.where(leaving=leaving)
    group = by if by in GROUPS and by else "''"
    sums = ", ".join("coalesce(sum((counts->>%s)::bigint), 0)::bigint" for _ in names)
    sql = f"SELECT {group}, at, {sums} FROM console_rollup WHERE {where} GROUP BY 1, 2"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*names, *values])
        return {(name, at): dict(zip(names, row, strict=True)) for name, at, *row in cursor.fetchall()}


def families(span: Span, prefixes: Sequence[str]) -> dict[tuple[str, datetime], int]:
    """(name, step) → the counts whose names begin with one of the prefixes."""
    where, values = span.where()
    sql = f"""
        SELECT one.key, at, sum(one.value::bigint)::bigint
          FROM console_rollup CROSS JOIN LATERAL jsonb_each_text(counts) AS one
         WHERE {where}
           AND EXISTS (SELECT FROM unnest(%s::text[]) AS prefix WHERE starts_with(one.key, prefix)) GROUP BY 1, 2
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, list(prefixes)])
        return {(name, at): count for name, at, count in cursor.fetchall()}


def total(span: Span, names: Sequence[str], by: str = "") -> dict[str, Counts]:
    """Group → the named counts over the whole span."""
    found: dict[str, Counts] = {}
    for (group, _), row in counts(span, names, by).items():
        whole = found.setdefault(group, dict.fromkeys(names, 0))
        for name, count in row.items():
            whole[name] += count
    return found


def spreads(span: Span, name: str, by: str = "") -> dict[tuple[str, datetime], dict[int, int]]:
    """(group, step) → one histogram."""
    where, values = span.where()
    group = by if by in GROUPS and by else "''"
    sql = f"SELECT {group}, at, spreads->%s FROM console_rollup WHERE {where} AND spreads ? %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [name, *values, name])
        found: dict[tuple[str, datetime], list[Spread]] = {}
        for group_name, at, buckets in cursor.fetchall():
            found.setdefault((group_name, at), []).append(_whole(buckets))
    return {key: merged(parts) for key, parts in found.items()}


def waiting(
    moments: Sequence[datetime], only: Mapping[str, str], by: str = ""
) -> dict[tuple[str, datetime], dict[int, int]]:
    """(group, moment) → the ages of those who waited then."""
    parts = "".join(f" AND {name} = %s" for name in only)
    group = by if by in GROUPS and by else "''"
    sql = f"SELECT {group}, at, ages FROM console_waitingages WHERE at = ANY(%s){parts}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(moments), *only.values()])
        found: dict[tuple[str, datetime], list[Spread]] = {}
        for group_name, at, ages in cursor.fetchall():
            found.setdefault((group_name, at), []).append(_whole(ages))
    return {key: merged(parts) for key, parts in found.items()}


def _whole(buckets: object) -> dict[int, int]:
    """A histogram as it lies in a row: its keys are texts."""
    given = json.loads(buckets) if isinstance(buckets, str) else buckets
    return {int(bucket): count for bucket, count in given.items()}


def minutes(now: datetime, length: timedelta, only: Mapping[str, str]) -> Span:
    """The last minutes until now, the one that lasts included."""
    return Span(now - length, now, MINUTE, only)

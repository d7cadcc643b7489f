"""Coarser steps, each merged from the finer ones that lie in it: counts and histograms add up."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db import connection

from console.overview.policy.grains import FINER, floor

# One stretch of the index from the first step to the last, whatever the planner knows of a table that grows.
FINER_ROWS = """
  SELECT * FROM (
    SELECT date_bin(%(width)s::interval, at, timestamptz '2000-01-01 00:00+00') AS step, pool, tier, model, counts,
           spreads
      FROM console_rollup WHERE grain = %(finer)s AND at >= %(first)s AND at < %(last)s) finer
   WHERE step = ANY(%(steps)s::timestamptz[])
"""
MERGE = f"""
WITH part AS MATERIALIZED ({FINER_ROWS}),
counts AS (
  SELECT step, pool, tier, model, jsonb_object_agg(name, n) AS counts FROM (
    SELECT step, pool, tier, model, one.key AS name, sum(one.value::bigint) AS n
      FROM part CROSS JOIN LATERAL jsonb_each_text(counts) AS one GROUP BY step, pool, tier, model, one.key) summed
   GROUP BY step, pool, tier, model),
spreads AS (
  SELECT step, pool, tier, model, jsonb_object_agg(name, buckets) AS spreads FROM (
    SELECT step, pool, tier, model, name, jsonb_object_agg(bucket, n) AS buckets FROM (
      SELECT step, pool, tier, model, spread.key AS name, one.key AS bucket, sum(one.value::bigint) AS n
        FROM part CROSS JOIN LATERAL jsonb_each(spreads) AS spread
        CROSS JOIN LATERAL jsonb_each_text(spread.value) AS one
       GROUP BY step, pool, tier, model, spread.key, one.key) summed
     GROUP BY step, pool, tier, model, name) named
   GROUP BY step, pool, tier, model)
INSERT INTO console_rollup (grain, at, pool, tier, model, counts, spreads)
SELECT %(grain)s, step, pool, tier, model, coalesce(counts, '{{}}'), coalesce(spreads, '{{}}')
  FROM counts FULL JOIN spreads USING (step, pool, tier, model)
"""  # noqa: S608  every part is from this code


def merge(minutes: Iterable[datetime]) -> None:
    """Merge again every coarser step that one of the minutes lies in. Inside the caller's transaction; six queries."""
    touched = set(minutes)
    if not touched:
        return
    for grain, finer in FINER.items():
        steps = sorted({floor(moment, grain).astimezone(UTC) for moment in touched})
        width = timedelta(seconds=grain)
        values = {"steps": steps, "grain": grain, "finer": finer, "width": width}
        values |= {"first": steps[0], "last": steps[-1] + width}
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM console_rollup WHERE grain = %s AND at = ANY(%s)", [grain, steps])
            cursor.execute(MERGE, values)

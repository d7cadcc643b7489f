"""The safety tax: what checking texts took, per stage, and what was refused by which stage. One query each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count

from generation.afterwards.refused_prompts import RefusedPrompt

MOST_JOBS = 20_000  # the newest ones; percentiles of more say the same
STAGES = ("normalise", "rules", "embedding", "classifier", "scorer", "guard")
TOTAL = "total"
# The stages of each admitted text, and their sum, with the beginning of the bucket it falls into.
TAX = """
WITH looked AS (
  SELECT created_at, screening FROM generation_job
   WHERE created_at >= %s AND created_at < %s AND screening ? 'ms'
   ORDER BY created_at DESC LIMIT %s),
timed AS (
  SELECT created_at, stage.key AS stage, stage.value::float AS ms
    FROM looked, jsonb_each_text(screening->'ms') AS stage
  UNION ALL
  SELECT created_at, 'total', (screening->>'elapsed_ms')::float FROM looked)
SELECT stage, date_bin(make_interval(secs => %s), created_at, timestamptz '2000-01-01 00:00+00') AS bucket,
       count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)
  FROM timed GROUP BY GROUPING SETS ((stage, bucket), (stage)) ORDER BY bucket NULLS FIRST, stage
"""


@dataclass(frozen=True)
class StageTax:
    """Milliseconds of one stage over `texts` texts; `bucket` is None over the whole range."""

    stage: str
    bucket: datetime | None
    texts: int
    p50_ms: float
    p99_ms: float


def tax(since: datetime, until: datetime, bucket: timedelta) -> list[StageTax]:
    """Per stage and for all together ("total"), over the range and per bucket; of jobs that were admitted."""
    with connection.cursor() as cursor:
        cursor.execute(TAX, [since, until, MOST_JOBS, bucket.total_seconds()])
        found = [StageTax(*row) for row in cursor.fetchall()]
    order = {name: place for place, name in enumerate((TOTAL, *STAGES))}
    return sorted(found, key=lambda one: order.get(one.stage, len(order)))


def refusals_by_stage(since: datetime, until: datetime) -> list[dict]:
    """{category, stage, number} of the stored refusals, most first."""
    found = RefusedPrompt.objects.filter(at__gte=since, at__lt=until).values("category", "stage")
    return list(found.annotate(number=Count("pk")).order_by("-number", "category", "stage"))


def last_refusals(most: int, *, category: str = "", stage: str = "") -> Sequence[RefusedPrompt]:
    """The newest stored refusals, of one category or stage where one is named."""
    named = {name: value for name, value in (("category", category), ("stage", stage)) if value}
    return list(RefusedPrompt.objects.filter(**named).order_by("-at")[:most])


def by_topic(since: datetime, until: datetime) -> list[tuple[str, int, int]]:
    """(topic, admitted, refused) of prompts by what they are about: a benign topic that is refused often is wrong."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH asked AS (
              SELECT screening->>'category' AS topic, 1 AS admitted, 0 AS refused FROM generation_job
               WHERE created_at >= %s AND created_at < %s AND screening->>'category' IS NOT NULL
              UNION ALL
              SELECT about->>0, 0, 1 FROM generation_refusedprompt
               WHERE at >= %s AND at < %s AND stage <> 'rules' AND jsonb_array_length(about) > 0)
            SELECT topic, sum(admitted), sum(refused) FROM asked GROUP BY topic ORDER BY 2 DESC, 1
            """,
            [since, until, since, until],
        )
        return cursor.fetchall()

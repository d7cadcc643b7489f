"""What clips cost here: device time and money of the newest attempts, where it went, what was wasted, what was saved.

A page must stay fast with millions of jobs, and no index on ended attempts is worth its price at every claim. So the
newest `MOST_ATTEMPTS` are read backwards along the primary key, which a claim gives out in order of time, and those
that began within the range are kept. Where the range holds more, the figures are of the newest part of it, and
`Measured.since` says from when. SLA credits are read the same way.

Waste is told step by step: an attempt that another one followed has wasted the steps that the next had to do again,
in proportion of its device time (all of it where it ran no step). A job that ended without a clip wasted everything.
What an owner cancelled is charged for the steps that ran, so it is shown beside waste and not as waste.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db import connection

from generation.costs import gpu_prices
from generation.costs.gpu_prices import Price
from generation.late_clips import SYNTHETIC

MOST_ATTEMPTS = 10_000
MOST_CREDITS = 10_000
MICRO_CREDITS_PER_MICRO_DOLLAR = 100  # a credit is a cent
MS_AN_HOUR = 3_600_000
OWN = "own"

# What became of the time of an attempt, beside the one `before` it and where the next one went on (`next_from`).
FATE = """
    CASE WHEN state = 'failed' AND error_code = 'not_finite' THEN 'not_finite'
         WHEN state IN ('failed', 'blocked', 'cancelled') THEN state
         WHEN next_from IS NOT NULL AND outcome IN ('lost', 'failed', 'handed_back') THEN
           CASE outcome WHEN 'failed' THEN 'retried' WHEN 'handed_back' THEN 'preempted' ELSE outcome END
         ELSE 'kept' END AS cause,
    CASE WHEN state IN ('failed', 'blocked', 'cancelled') THEN gpu_ms
         WHEN next_from IS NULL OR outcome NOT IN ('lost', 'failed', 'handed_back') THEN 0
         WHEN ran = 0 THEN gpu_ms
         ELSE round(gpu_ms::numeric * least(greatest(step - next_from, 0), ran) / ran) END AS wasted_ms,
    next_from IS NULL AND state IN ('delivered', 'withdrawn') AS arrived,
    CASE WHEN before IN ('lost', 'failed', 'handed_back') AND ran > 0
              AND state NOT IN ('failed', 'blocked', 'cancelled')
         THEN round(coalesce((stages->>'denoise')::numeric * 1000, gpu_ms) * resumed_from_step / ran)
         ELSE 0 END AS saved_ms
"""
# One row per pool, tier, price and what became of the time.
ATTEMPTS = f"""
WITH newest AS MATERIALIZED (
  SELECT id, job_id, lane_id, started_at, ended_at, outcome, gpu_ms, step, resumed_from_step, stages
    FROM generation_attempt ORDER BY id DESC LIMIT %(most)s),
within AS (
  SELECT a.*, p.slug AS pool, j.source, j.state, j.error_code, j.steps, t.slug AS tier,
         greatest(a.step - a.resumed_from_step, 0) AS ran,
         lead(a.resumed_from_step) OVER turns AS next_from,
         lag(a.outcome) OVER turns AS before
    FROM newest a JOIN generation_job j ON j.id = a.job_id
    JOIN generation_lane l ON l.slug = a.lane_id JOIN generation_pool p ON p.slug = l.pool_id
    JOIN accounts_tier t ON t.slug = l.tier_id
   WHERE a.started_at >= %(since)s AND a.started_at < %(until)s AND a.ended_at IS NOT NULL AND j.kind = 'clip'
  WINDOW turns AS (PARTITION BY a.job_id ORDER BY a.id)),
told AS (
  SELECT *,
{FATE}
  FROM within)
SELECT pool, tier, CASE WHEN source = '{SYNTHETIC}' THEN 'own' ELSE cause END, price.micro,
       count(*), count(DISTINCT job_id), count(*) FILTER (WHERE arrived),
       sum(gpu_ms), sum(wasted_ms), sum(saved_ms),
       sum(ran) FILTER (WHERE stages ? 'denoise'),
       sum((stages->>'denoise')::numeric * 1000) FILTER (WHERE stages ? 'denoise'),
       sum(extract(epoch FROM ended_at - started_at))::float8, sum(steps) FILTER (WHERE arrived),
       count(*) FILTER (WHERE outcome IN ('lost', 'failed'))
  FROM told JOIN unnest(%(pools)s::text[], %(from)s::timestamptz[], %(to)s::timestamptz[], %(micro)s::bigint[])
                 AS price (of_pool, since, until, micro)
    ON of_pool = pool AND started_at >= price.since AND started_at < price.until
 GROUP BY pool, tier, 3, price.micro
"""
OLDEST = """
SELECT min(started_at), count(*) FROM (
  SELECT started_at FROM generation_attempt ORDER BY id DESC LIMIT %s) newest
"""
CREDITS = """
SELECT count(*), coalesce(sum(amount), 0) FROM (
  SELECT at, amount FROM billing_slacredit ORDER BY id DESC LIMIT %s) newest WHERE at >= %s AND at < %s
"""


@dataclass(frozen=True)
class Part:
    """Attempts of one pool, tier, fate and price. Device time in milliseconds, `price` in micro-dollars an hour."""

    pool: str
    tier: str
    cause: str  # kept, retried, lost, preempted, not_finite, failed, blocked, cancelled, own
    price: int
    attempts: int
    jobs: int
    delivered: int
    gpu_ms: int
    wasted_ms: int
    saved_ms: int
    denoised_steps: int
    denoise_ms: int
    flight_s: float
    steps: int
    broken: int  # attempts that were lost or failed

    def micro_dollars(self, gpu_ms: int) -> Fraction:
        return Fraction(gpu_ms * self.price, MS_AN_HOUR)


@dataclass(frozen=True)
class Measured:
    """`since` is later than what was asked where there are more attempts than are read (`cut`).

    `parts` are customers' work; `own` is that of the jobs which Backlot makes itself, to see that all works.
    """

    since: datetime
    until: datetime
    cut: bool
    parts: tuple[Part, ...]
    own: tuple[Part, ...]
    prices: tuple[Price, ...]
    credits: int
    credits_micro_dollars: int

    @property
    def hours(self) -> Fraction:
        return Fraction((self.until - self.since).total_seconds()) / 3_600

    @property
    def delivered(self) -> int:
        return sum(part.delivered for part in self.parts)

    @property
    def gpu_ms(self) -> int:
        return sum(part.gpu_ms for part in self.parts)

    @property
    def micro_dollars(self) -> Fraction:
        """All of the device time, at the prices in force when each attempt began."""
        return sum((part.micro_dollars(part.gpu_ms) for part in self.parts), Fraction(0))

    def of(self, cause: str) -> list[Part]:
        return [part for part in self.parts if part.cause == cause]


def measured(since: datetime, until: datetime) -> Measured:
    """The clips of a span of time; five queries however many there are."""
    since, cut = _covered(since)
    prices = gpu_prices.over(since, until)
    with connection.cursor() as cursor:
        cursor.execute(ATTEMPTS, _asked(since, until, prices))
        found = [_part(row) for row in cursor.fetchall()]
        cursor.execute(CREDITS, [MOST_CREDITS, since, until])
        credits, amount = cursor.fetchone()
    return Measured(
        since,
        until,
        cut,
        tuple(part for part in found if part.cause != OWN),
        tuple(part for part in found if part.cause == OWN),
        tuple(prices),
        credits,
        int(amount) // MICRO_CREDITS_PER_MICRO_DOLLAR,
    )


def _covered(since: datetime) -> tuple[datetime, bool]:
    """From when on the newest attempts cover the time, and whether that is later than was asked."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST, [MOST_ATTEMPTS])
        oldest, count = cursor.fetchone()
    cut = count == MOST_ATTEMPTS and oldest > since
    return (oldest, True) if cut else (since, False)


def _asked(since: datetime, until: datetime, prices: Sequence[Price]) -> dict:
    return {
        "most": MOST_ATTEMPTS,
        "since": since,
        "until": until,
        "pools": [price.pool for price in prices],
        "from": [price.since for price in prices],
        "to": [price.until for price in prices],
        "micro": [price.micro_dollars for price in prices],
    }


def _part(row: tuple) -> Part:
    """Sums over no rows are NULL, and sums of whole numbers come as decimals."""
    return Part(
        *row[:7], *(int(value or 0) for value in row[7:12]), float(row[12] or 0), int(row[13] or 0), row[14]
    )

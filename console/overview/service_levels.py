"""The service levels as rows: what is promised, what was measured, what is left of the budget, how fast it goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from console.overview import reading, waiting
from console.overview.counted import SLOW_START_S
from console.overview.policy.budgets import Counted, Objective, budget_left, burn, standing
from console.overview.policy.grains import DAY, MINUTE, TEN_MINUTES, after, floor
from console.overview.policy.spread import bucket_of, merged, quantile, size
from console.overview.reading import Counts, Span

WINDOW = timedelta(days=30)
FAST, SLOW = timedelta(hours=1), timedelta(hours=6)
COUNTS = (
    *("started", "slow_start", "timed", "late", "delivered", "unavailable", "clips_made", "off_steps"),
    *("stopped:child_safety", "missed:child_safety", "stopped:intimate", "missed:intimate"),
)


@dataclass(frozen=True)
class Level:
    """One promise: which counts miss it, of which, and what share may; `did` is the list of jobs that missed it."""

    name: str
    target: str
    bad: tuple[str, ...]
    total: tuple[str, ...]
    allowed: Fraction
    tier: str = ""
    did: str = ""


def window_start(now: datetime) -> datetime:
    """Thirty whole days and today, UTC."""
    return floor(now, DAY) - WINDOW


def levels(tiers: Mapping[str, str]) -> list[Level]:
    """Every promise, the waits and times first; a row per tier whose clips are promised a time."""
    timed = [
        Level(
            f"Time in system, {name}",
            "95 % in the promised time",
            ("late",),
            ("timed",),
            Fraction(1, 20),
            tier,
            "late",
        )
        for tier, name in tiers.items()
    ]
    kept = ("stopped:child_safety", "missed:child_safety")
    intimate, failed = ("stopped:intimate", "missed:intimate"), ("unavailable",)
    return [
        Level("Queue wait", f"half within {SLOW_START_S} s", ("slow_start",), ("started",), Fraction(1, 2)),
        *timed,
        Level("Availability", "99.9 %", failed, ("delivered", *failed), Fraction(1, 1000), "", "unavailable"),
        Level("Child-safety interception", "99.99 %", kept[1:], kept, Fraction(1, 10_000)),
        Level("Sexual-content interception", "99 %", intimate[1:], intimate, Fraction(1, 100)),
        Level("Steps as agreed", "every clip", ("off_steps",), ("clips_made",), Fraction(0), "", "off_steps"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A level as it stands. `measured` is a share that met it over the window; burns are over an hour and six."""

    level: Level
    window: Counted
    hour: Counted
    left: float | None
    fast: float | None
    slow: float | None
    standing: str

    @property
    def met(self) -> float | None:
        return None if self.window.share is None else 1 - self.window.share

    @property
    def met_lately(self) -> float | None:
        return None if self.hour.share is None else 1 - self.hour.share

    @property
    def left_percent(self) -> int:
        """How full the bar of the budget is."""
        return round(100 * min(1, max(0, self.left or 0)))


def rows(only: Mapping[str, str], tiers: Mapping[str, str], now: datetime) -> list[Row]:
    """Every level under the filters. Four queries, whatever happened."""
    spans = (
        Span(window_start(now), now, DAY, only),
        Span(floor(now, MINUTE) - FAST, now, MINUTE, only),
        Span(floor(now, TEN_MINUTES) - SLOW, after(now, TEN_MINUTES), TEN_MINUTES, only),
    )
    window, fast, slow = (reading.total(span, COUNTS, "tier") for span in spans)
    slow_waiting = _slow_waiting(only, now)
    shown = {tier: name for tier, name in tiers.items() if only.get("tier", tier) == tier}
    found = []
    for level in levels(shown):
        counted = [_counted(level, sums, slow_waiting) for sums in (window, fast, slow)]
        if level.tier and not counted[0].total:
            continue
        found.append(_row(level, *counted))
    return found


def _row(level: Level, window: Counted, fast: Counted, slow: Counted) -> Row:
    objective = Objective(level.allowed)
    left, quick, steady = budget_left(objective, window), burn(objective, fast), burn(objective, slow)
    return Row(level, window, fast, left, quick, steady, standing(left, quick, steady))


def _counted(level: Level, sums: Mapping[str, Counts], waiting_now: Counted) -> Counted:
    groups = (
        [sums[level.tier]] if level.tier in sums and level.tier else [] if level.tier else list(sums.values())
    )
    bad = sum(row[name] for row in groups for name in level.bad)
    total = sum(row[name] for row in groups for name in level.total)
    if "started" in level.total:  # who still waits counts with their age, or starvation would hide
        return Counted(bad + waiting_now.bad, total + waiting_now.total)
    return Counted(bad, total)


def _slow_waiting(only: Mapping[str, str], now: datetime) -> Counted:
    """Who waits now, and how many of them longer than promised: their bucket lies above that of the target."""
    ages = merged(
        lane.ages
        for lane in waiting.live(now)
        if all(getattr(lane, name) == value for name, value in only.items())
    )
    limit = bucket_of(1000 * SLOW_START_S)
    return Counted(sum(count for bucket, count in ages.items() if bucket > limit), size(ages))


@dataclass(frozen=True)
class WaitNow:
    """The wait of a tier as of now, in seconds, over those who started in the last minutes and those who wait."""

    tier: str
    p50_s: float | None
    p95_s: float | None
    waiting: int


def waits_now(
    only: Mapping[str, str], now: datetime, over: timedelta = timedelta(minutes=5)
) -> list[WaitNow]:
    """Tier by tier; two queries."""
    span = Span(floor(now, MINUTE) - over, now, MINUTE, only)
    parts: dict[str, list] = {}
    for (tier, _), spread in reading.spreads(span, "wait", "tier").items():
        parts.setdefault(tier, []).append(spread)
    ages: dict[str, list] = {}
    for lane in waiting.live(now):
        if all(getattr(lane, name) == value for name, value in only.items()):
            ages.setdefault(lane.tier, []).append(lane.ages)
    return [_wait_now(tier, parts.get(tier, []), ages.get(tier, [])) for tier in sorted({*parts, *ages})]


def _wait_now(tier: str, started: list, ages: list) -> WaitNow:
    sample = merged([*started, *ages])
    p50, p95 = quantile(sample, 0.5), quantile(sample, 0.95)
    return WaitNow(tier, p50 and p50 / 1000, p95 and p95 / 1000, size(merged(ages)))

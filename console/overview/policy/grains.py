"""Grains of time: minutes, and what is merged from them. All in UTC; a span is cut on the bounds of its grain."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE, TEN_MINUTES, HOUR, DAY = 60, 600, 3_600, 86_400
GRAINS = (MINUTE, TEN_MINUTES, HOUR, DAY)
# What a coarser grain is merged from.
FINER = {TEN_MINUTES: MINUTE, HOUR: TEN_MINUTES, DAY: HOUR}
WORDS = {MINUTE: "minute", TEN_MINUTES: "10 minutes", HOUR: "hour", DAY: "day"}
MOST_POINTS = 200  # of a chart
WEEK = timedelta(days=7)
# How long each is kept; days are kept for good.
KEPT = {
    MINUTE: timedelta(days=15),
    TEN_MINUTES: timedelta(days=40),
    HOUR: timedelta(days=400),
    DAY: timedelta.max,
}


def floor(moment: datetime, grain: int) -> datetime:
    """The beginning of the step of a grain that a moment lies in."""
    return datetime.fromtimestamp(int(moment.timestamp()) // grain * grain, tz=UTC)


def after(moment: datetime, grain: int) -> datetime:
    """The end of the step that a moment lies in; a bound is the end of the step before it."""
    begun = floor(moment, grain)
    return begun if begun == moment else begun + timedelta(seconds=grain)


@dataclass(frozen=True)
class Steps:
    """A span of time in steps of one grain: from `since` on, up to but without `until`, both on bounds."""

    since: datetime
    until: datetime
    grain: int

    @property
    def width(self) -> timedelta:
        return timedelta(seconds=self.grain)

    @property
    def starts(self) -> list[datetime]:
        """The beginning of every step, oldest first."""
        return [self.since + self.width * step for step in range((self.until - self.since) // self.width)]

    @property
    def week_before(self) -> "Steps":
        return Steps(self.since - WEEK, self.until - WEEK, self.grain)


def steps(since: datetime, until: datetime, now: datetime, most: int = MOST_POINTS) -> Steps:
    """The finest grain that draws a span in at most so many points and is still kept, a week earlier as well; the span
    is widened to its bounds."""
    for grain in GRAINS:
        found = Steps(floor(since, grain), after(until, grain), grain)
        few = (found.until - found.since) // found.width <= most
        if few and now - (since - WEEK) <= KEPT[grain]:
            break
    return found

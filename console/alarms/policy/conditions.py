"""What speaks for an alarm at one moment: six kinds of condition over counts and levels.

A share or a fall counts only where chance is no explanation: one failure among five jobs is a high share and no alarm.
"""

from dataclasses import dataclass
from typing import Protocol

from console.alarms.policy import chance
from console.alarms.policy.history import Moment

CLEAR, FIRES, ESCALATES = 0, 1, 2
# So seldom by chance in healthy service, that 30 days of looks every few seconds bring none.
BY_CHANCE = 3e-8


@dataclass(frozen=True)
class Terms:
    """The live settings of an alarm. `escalate` None: it has one level. Times in seconds.

    `threshold` is where it fires, `healthy` where it counts as well again: between them it stays as it is.
    `least_events` is how many bad events a share has to rest on.
    """

    enabled: bool
    threshold: float
    healthy: float
    escalate: float | None
    for_s: float
    clear_s: float
    least_events: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a condition says at a moment: its value, CLEAR, FIRES or ESCALATES, and whether all is well.

    `bad` of `total` is what the value rests on, where it is a share.
    """

    value: float | None
    level: int
    well: bool
    bad: int = 0
    total: int = 0


NOTHING_SEEN = Seen(None, CLEAR, well=True)


class Condition(Protocol):
    """One kind of condition. `rising`: a higher value is worse."""

    rising: bool

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen: ...

    def windows(self) -> set[int]:
        """The windows of counts that it looks at, in seconds."""

    def measures(self) -> set[str]:
        """What it looks at; the first scopes come from `subject`."""

    @property
    def subject(self) -> str:
        """The measure whose scopes it is asked for."""


def _level(terms: Terms, value: float) -> int:
    if terms.escalate is not None and value > terms.escalate:
        return ESCALATES
    return FIRES if value > terms.threshold else CLEAR


@dataclass(frozen=True)
class Level:
    """A level above its threshold."""

    measure: str
    rising: bool = True

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen:
        value = moment.level(self.measure, scope)
        if value is None:
            return NOTHING_SEEN
        return Seen(value, _level(terms, value), value <= terms.healthy)

    def windows(self) -> set[int]:
        return set()

    def measures(self) -> set[str]:
        return {self.measure}

    @property
    def subject(self) -> str:
        return self.measure


@dataclass(frozen=True)
class Happened:
    """More bad events than the threshold within the window; with threshold 0: any."""

    measure: str
    window_s: int
    rising: bool = True

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen:
        counted = moment.counts(self.measure, scope, self.window_s)
        well = counted.bad <= terms.healthy
        return Seen(counted.bad, _level(terms, counted.bad), well, counted.bad, counted.total)

    def windows(self) -> set[int]:
        return {self.window_s}

    def measures(self) -> set[str]:
        return {self.measure}

    @property
    def subject(self) -> str:
        return self.measure


@dataclass(frozen=True)
class Share:
    """A share above its threshold in a long window and, so that it ends soon after, in a short one.

    It counts where `background`, the share of healthy service, does not bring so many by chance.
    """

    measure: str
    background: float
    pairs: tuple[tuple[int, int], ...]  # long and short window, seconds; the first is the one that is shown
    rising: bool = True

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen:
        shown = moment.counts(self.measure, scope, self.pairs[0][0])
        level, value = CLEAR, shown.share
        for long_s, short_s in self.pairs:
            counted = moment.counts(self.measure, scope, long_s)
            if counted.bad < terms.least_events or counted.share <= terms.threshold:
                continue
            if moment.counts(self.measure, scope, short_s).share <= terms.threshold:
                continue
            if chance.at_least(counted.bad, counted.total * self.background) < BY_CHANCE:
                level, value = max(level, _level(terms, counted.share)), max(value, counted.share)
        well = shown.share <= terms.healthy or shown.bad < terms.least_events
        return Seen(value, level, well and level == CLEAR, shown.bad, shown.total)

    def windows(self) -> set[int]:
        return {window for pair in self.pairs for window in pair}

    def measures(self) -> set[str]:
        return {self.measure}

    @property
    def subject(self) -> str:
        return self.measure


@dataclass(frozen=True)
class Fall:
    """Fewer events in the last minute than a part of their usual, while work waits: quiet nights have no backlog.

    The value is the last minute ÷ the usual minute of the time before; `waiting` names the level of what waits,
    `least_events` is how much of it has to.
    """

    measure: str
    waiting: str
    now_s: int = 60
    usual_s: int = 300
    by_chance: float = 1e-6
    rising: bool = False

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen:
        now = moment.counts(self.measure, scope, self.now_s).total
        both = moment.counts(self.measure, scope, self.now_s + self.usual_s).total
        expected = (both - now) * self.now_s / self.usual_s
        backlog = moment.level(self.waiting, scope) or 0.0
        if expected <= 0:
            # An average of nothing tells nothing; but what fell to nothing is not well while work waits.
            return Seen(None, CLEAR, well=now > 0 or backlog < terms.least_events)
        value = now / expected
        fires = (
            value < terms.threshold
            and backlog >= terms.least_events
            and chance.at_most(now, expected) < self.by_chance
        )
        grave = fires and terms.escalate is not None and value < terms.escalate
        well = value >= terms.healthy or backlog < terms.least_events
        return Seen(value, ESCALATES if grave else int(fires), well, now, round(expected))

    def windows(self) -> set[int]:
        return {self.now_s, self.now_s + self.usual_s}

    def measures(self) -> set[str]:
        return {self.measure, self.waiting}

    @property
    def subject(self) -> str:
        return self.measure


@dataclass(frozen=True)
class Spike:
    """A share that jumps where it is usually low: over the threshold, a multiple of its usual, and not by chance."""

    measure: str
    now_s: int = 300
    usual_s: int = 86_400
    usual_most: float = 0.1  # a series that is usually above this does not normally pass
    usual_least: float = 0.005  # what little history says nothing about is taken for this
    times: float = 3.0
    rising: bool = True

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen:
        now = moment.counts(self.measure, scope, self.now_s)
        before = moment.counts(self.measure, scope, self.usual_s).without(now)
        usual = max(before.share, self.usual_least)
        level = CLEAR
        over = now.share > max(terms.threshold, self.times * usual) and usual <= self.usual_most
        enough = now.bad >= terms.least_events
        if over and enough and chance.at_least(now.bad, now.total * usual) < BY_CHANCE:
            level = _level(terms, now.share)
        well = level == CLEAR and (now.share <= terms.healthy or now.bad < terms.least_events)
        return Seen(now.share, level, well, now.bad, now.total)

    def windows(self) -> set[int]:
        return {self.now_s, self.usual_s}

    def measures(self) -> set[str]:
        return {self.measure}

    @property
    def subject(self) -> str:
        return self.measure


FAST = ((3600, 300, 14.4), (21_600, 1800, 6.0))
SLOW = (259_200, 21_600, 1.0)


@dataclass(frozen=True)
class Burn:
    """The error budget burns too fast: multi-window, multi-burn-rate (Google's SRE workbook, chapter 5).

    1 h and 5 min at 14.4 times the budget, or 6 h and 30 min at 6 times, page; 3 d and 6 h at once the budget tell.
    The value is the worst of these burn rates ÷ its own limit, so that its threshold is 1.
    """

    measure: str
    budget: float  # the share that may be bad
    rising: bool = True

    def look(self, terms: Terms, moment: Moment, scope: str) -> Seen:
        worst, level, shown = 0.0, CLEAR, moment.counts(self.measure, scope, FAST[0][0])
        for long_s, short_s, limit in (*FAST, SLOW):
            counted = moment.counts(self.measure, scope, long_s)
            if counted.bad < terms.least_events:
                continue
            short = moment.counts(self.measure, scope, short_s).share
            value = min(counted.share, short) / (self.budget * limit)
            if value > worst:
                worst, shown = value, counted
            if value > terms.threshold:
                level = max(level, FIRES if limit == SLOW[2] else ESCALATES)
        return Seen(worst, level, worst <= terms.healthy, shown.bad, shown.total)

    def windows(self) -> set[int]:
        return {window for pair in (*FAST, SLOW) for window in pair[:2]}

    def measures(self) -> set[str]:
        return {self.measure}

    @property
    def subject(self) -> str:
        return self.measure

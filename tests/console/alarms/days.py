"""Days of a service as alarms see them: healthy ones with their noise, and faults put into them. Chance is seeded."""

from collections.abc import Iterable

import numpy

from console.alarms.policy.history import Recorded

DAY_S = 86_400
NAN_BACKGROUND, FAILED, RETRIED, LATE, REJECTED = 0.001, 0.0002, 0.002, 0.01, 0.002
QUIET_NIGHT, BUSY_DAY = 0.002, 0.5  # clips ended per second
DEPLOYS_AT = (10 * 3600, 15 * 3600)
DEPLOY_S = 60


class Days:
    """Series in steps of `step_s`, healthy at first; faults are written over them, then `recorded` shows them.

    One number per step: `ended` clips, `broken` (not finite), `failed`, `started`, `retried`, `delivered`, `late`,
    `judged` and `rejected` by the gates; `wait` and `waiting` of Plus.
    """

    def __init__(self, days: float, step_s: int, seed: int = 7, per_s: float | None = None) -> None:
        self.step_s, self.steps = step_s, int(days * DAY_S / step_s)
        self.chance = numpy.random.default_rng(seed)
        clock = numpy.arange(self.steps) * step_s % DAY_S
        day = numpy.clip(numpy.sin((clock / DAY_S - 0.25) * 2 * numpy.pi), 0, None)
        rate = (
            QUIET_NIGHT + (BUSY_DAY - QUIET_NIGHT) * day if per_s is None else numpy.full(self.steps, per_s)
        )
        self.clock, self.rate = clock, rate
        self.deploying = numpy.zeros(self.steps, bool)
        if per_s is None:
            for at in DEPLOYS_AT:
                self.deploying |= (clock >= at) & (clock < at + DEPLOY_S)
        self.ended = self._ended()
        self.broken = self.of(self.ended, NAN_BACKGROUND)
        self.failed = self.of(self.ended, FAILED)
        self.retried = self.of(self.ended, RETRIED)
        self.started = self.ended + self.retried
        self.delivered = self.ended - numpy.minimum(self.ended, self.broken + self.failed)
        self.late = self.of(self.delivered, LATE)
        self.rejected = self.of(self.delivered, REJECTED)
        self.wait = self.chance.gamma(2.0, 3.0, self.steps) + numpy.where(self.deploying, 30.0, 0.0)
        self.waiting = self.chance.poisson(numpy.where(self.deploying, self.rate * DEPLOY_S, self.rate * 6))
        self.levels: dict[tuple[str, str], numpy.ndarray] = {}
        self.events: dict[str, numpy.ndarray] = {}
        for name in ("ledger_drift", "unsafe_delivery", "bypass", "outbox_parked"):
            self.events[name] = numpy.zeros(self.steps, int)
        for name in ("signing_down", "scorer_down", "webhooks_late", "no_worker"):
            self.levels[name, ""] = numpy.zeros(self.steps)
        self.levels["no_worker", ""][self.deploying] = 1
        if per_s is None:
            self._hitches(numpy.random.default_rng(seed + 1))
        self.levels["synthetic_age", ""] = self._synthetic_age()
        self.levels["outbox_late", ""] = self.chance.exponential(0.5, self.steps)

    def _hitches(self, chance: numpy.random.Generator) -> None:
        """What a healthy day brings: a scorer restarts with a deploy, the signer takes 20 s once in a while, one or two
        endpoints of customers are slow for an hour."""
        starts = self.deploying & ~numpy.roll(self.deploying, 1)
        self.levels["scorer_down", ""][starts] = 1
        seldom = self.step_s / DAY_S
        self.levels["signing_down", ""][chance.random(self.steps) < 3 * seldom] = 20
        for begin in numpy.flatnonzero(chance.random(self.steps) < seldom):
            slow = chance.integers(1, 3)
            self.levels["webhooks_late", ""][begin : begin + 3600 // self.step_s] = slow

    def _synthetic_age(self) -> numpy.ndarray:
        """A try every five minutes that takes 5 to 30 s; one in fifty fails, and the next one is the first good one."""
        age, every = numpy.zeros(self.steps), max(1, 300 // self.step_s)
        since: int | None = None
        for begin in range(0, self.steps, every):
            since = begin if since is None else since
            took = max(1, int(self.chance.integers(5, 30) / self.step_s))
            fails = since == begin and self.chance.random() < 0.02
            end = begin + (every if fails else took)
            age[begin:end] = (numpy.arange(begin, min(end, self.steps)) - since) * self.step_s
            since = since if fails else None
        return age

    def _ended(self) -> numpy.ndarray:
        """Nothing ends during a deploy; what waited then ends in the minutes after it."""
        ended = self.chance.poisson(self.rate * self.step_s)
        for step in numpy.flatnonzero(self.deploying):
            later = min(step + 120 // self.step_s, self.steps - 1)
            ended[later] += ended[step]
            ended[step] = 0
        return ended

    def of(self, numbers: numpy.ndarray, share: float) -> numpy.ndarray:
        return self.chance.binomial(numbers, share)

    def span(self, begin_s: int, last_s: int) -> slice:
        return slice(begin_s // self.step_s, (begin_s + last_s) // self.step_s)

    def recorded(self) -> Recorded:
        history = Recorded(0.0, self.step_s, self.steps)
        ok = self.delivered + self.failed
        _count(history, "not_finite", "", self.broken, self.ended)
        _count(history, "retries", "", self.retried, self.started)
        _count(history, "time_in_system", "", self.late, self.delivered)
        _count(history, "availability", "", self.failed, ok)
        _count(history, "plus_completions", "clips", self.delivered * 0, self.delivered)
        _count(history, "rejections", "benign", self.rejected, self.delivered)
        for name, series in self.events.items():
            _count(history, name, "", series, series)
        history.stand("plus_wait", "clips", self.wait.tolist())
        history.stand("plus_waiting", "clips", self.waiting.tolist())
        for (name, scope), series in self.levels.items():
            history.stand(name, scope, series.tolist())
        return history


def _count(history: Recorded, name: str, scope: str, bad: Iterable[int], total: Iterable[int]) -> None:
    history.count(name, scope, numpy.asarray(bad).tolist(), numpy.asarray(total).tolist())

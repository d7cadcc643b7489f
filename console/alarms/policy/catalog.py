"""Every alarm: what it looks at, its shipped settings, and what it is called."""

from dataclasses import dataclass

from console.alarms.policy.conditions import Burn, Condition, Fall, Happened, Level, Share, Spike, Terms

PERCENT, SECONDS, COUNT, TIMES = "%", "s", "", "× its limit"


@dataclass(frozen=True)
class Alarm:
    """One alarm. `within_s` is how soon after a fault it fires; None: as its windows say. `grave` orders alarms and
    incidents: safety (3) outranks money (2), which outranks service (1).

    `pages` are the words of each level for paging: warning, error or critical.
    """

    name: str
    title: str
    condition: Condition
    terms: Terms
    unit: str
    grave: int
    within_s: int | None
    pages: tuple[str, str]
    about: str  # what a scope is: "pool", "category"; "" where there is one

    def words(self, value: float | None) -> str:
        """A value with its unit, for people."""
        if value is None:
            return "–"
        if self.unit == PERCENT:
            return f"{value * 100:.3g} %"
        return f"{value:.3g} {self.unit}".rstrip()


ALARMS = (
    Alarm(
        "not_finite",
        "NaN rate",
        Share("not_finite", 0.001, ((300, 60), (1800, 300))),
        Terms(True, 0.005, 0.003, 0.05, 0, 120, 3),
        PERCENT, 1, 60, ("error", "critical"), "",
    ),
    Alarm(
        "plus_starvation",
        "Plus starvation",
        Level("plus_wait"),
        Terms(True, 60, 20, 120, 20, 60, 3),
        SECONDS, 1, 120, ("error", "critical"), "pool",
    ),
    Alarm(
        "plus_completions",
        "Plus completions",
        Fall("plus_completions", "plus_waiting"),
        Terms(True, 0.9, 0.95, None, 45, 60, 3),
        PERCENT, 1, 120, ("error", "error"), "pool",
    ),
    Alarm(
        "rejections",
        "Post-filter rejections",
        Spike("rejections"),
        Terms(True, 0.05, 0.03, None, 0, 300, 4),
        PERCENT, 3, 120, ("error", "error"), "prompt category",
    ),
    Alarm(
        "retries",
        "Retries",
        Burn("retries", 0.01),
        Terms(True, 1, 0.9, None, 0, 300, 10),
        TIMES, 1, None, ("warning", "error"), "",
    ),
    Alarm(
        "time_in_system",
        "Time in system",
        Burn("time_in_system", 0.05),
        Terms(True, 1, 0.9, None, 0, 300, 10),
        TIMES, 1, None, ("warning", "error"), "",
    ),
    Alarm(
        "availability",
        "Availability",
        Burn("availability", 0.001),
        Terms(True, 1, 0.9, None, 0, 300, 10),
        TIMES, 1, None, ("warning", "critical"), "",
    ),
    Alarm(
        "ledger_drift",
        "Ledger drift",
        Happened("ledger_drift", 3600),
        Terms(True, 0, 0, None, 0, 0, 1),
        COUNT, 2, 60, ("critical", "critical"), "",
    ),
    Alarm(
        "unsafe_delivery",
        "Unsigned or unscanned delivery",
        Happened("unsafe_delivery", 3600),
        Terms(True, 0, 0, None, 0, 0, 1),
        COUNT, 3, 60, ("critical", "critical"), "",
    ),
    Alarm(
        "bypass",
        "Safety bypass",
        Happened("bypass", 3600),
        Terms(True, 0, 0, None, 0, 0, 1),
        COUNT, 3, 60, ("critical", "critical"), "",
    ),
    Alarm(
        "signing_down",
        "Signing down",
        Level("signing_down"),
        Terms(True, 30, 0, 600, 0, 30, 1),
        SECONDS, 3, 60, ("error", "critical"), "",
    ),
    Alarm(
        "scorer_down",
        "Text scorer down",
        Level("scorer_down"),
        Terms(True, 0, 0, None, 20, 30, 1),
        COUNT, 3, 60, ("critical", "critical"), "",
    ),
    Alarm(
        "no_worker",
        "No worker",
        Level("no_worker"),
        Terms(True, 0, 0, None, 90, 30, 1),
        COUNT, 1, 120, ("critical", "critical"), "pool",
    ),
    Alarm(
        "synthetic",
        "Synthetic job",
        Level("synthetic_age"),
        Terms(True, 420, 60, 1800, 60, 30, 1),
        SECONDS, 1, 780, ("error", "critical"), "pool",
    ),
    Alarm(
        "outbox_dead",
        "Outbox stands still",
        Level("outbox_late"),
        Terms(True, 60, 15, 600, 0, 30, 1),
        SECONDS, 2, 120, ("error", "critical"), "",
    ),
    Alarm(
        "outbox_parked",
        "Event given up",
        Happened("outbox_parked", 3600),
        Terms(True, 0, 0, None, 0, 0, 1),
        COUNT, 1, 60, ("error", "error"), "",
    ),
    Alarm(
        "webhooks_late",
        "Webhooks late",
        Level("webhooks_late"),
        Terms(True, 2, 0, None, 60, 60, 1),
        COUNT, 1, None, ("warning", "warning"), "",
    ),
)  # fmt: skip
BY_NAME = {alarm.name: alarm for alarm in ALARMS}


def windows() -> dict[str, set[int]]:
    """Measure → the windows of counts that alarms look at, in seconds."""
    found: dict[str, set[int]] = {}
    for alarm in ALARMS:
        for measure in alarm.condition.measures():
            found.setdefault(measure, set()).update(alarm.condition.windows())
    return found

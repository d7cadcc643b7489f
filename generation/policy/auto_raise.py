"""The auto-raise rule: while a lane waits too long its weight rises by steps, up to a limit, and returns by itself.

The rule only ever writes an override of its own, with an expiry. It never works against a person: an operator's or a
runbook's weight that stands, and a raise that an operator took back, keep it quiet.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

RULE_VERSION = "auto-raise-1"


@dataclass(frozen=True)
class Rule:
    """The lane's live settings of the rule; times in seconds, `step` and `limit` in weight."""

    enabled: bool
    threshold_s: float
    step: float
    limit: float
    pause_s: float
    hold_s: float
    quiet_s: float


@dataclass(frozen=True)
class Raised:
    """The rule's own override that stands: its weight, when it was made, and when it ends."""

    weight: float
    at: datetime
    until: datetime


@dataclass(frozen=True)
class Seen:
    """The lane now. `p95_s` is over its organizations' waits for a turn: from when a job was queued, or the job of the
    same organization before it started, to its start or now. So nobody's own flood raises a weight. None without any.

    `others_weight` is a weight that a person or a runbook set and that stands; `taken_back_at` when an operator last
    undid a raise of the rule.
    """

    p95_s: float | None
    baseline: float
    raised: Raised | None
    others_weight: float | None
    taken_back_at: datetime | None


@dataclass(frozen=True)
class Raise:
    """Set this weight until then. `higher` is False where it only stands longer."""

    weight: float
    until: datetime
    higher: bool


def decide(rule: Rule, seen: Seen, now: datetime) -> Raise | None:
    """What to write now, or None: nothing to do, or not the rule's turn.

    A raise stands `hold_s` from the last look at which the wait was over the threshold; it is written anew once half
    of that is used up, so that a lane that goes on waiting costs a row every few minutes and not one a look.
    """
    if not rule.enabled or seen.others_weight is not None or seen.p95_s is None:
        return None
    if seen.taken_back_at is not None and now < seen.taken_back_at + timedelta(seconds=rule.quiet_s):
        return None
    if seen.p95_s <= rule.threshold_s:
        return None
    until = now + timedelta(seconds=rule.hold_s)
    weight = seen.raised.weight if seen.raised else seen.baseline
    rested = seen.raised is None or now >= seen.raised.at + timedelta(seconds=rule.pause_s)
    if rested and weight < rule.limit:
        return Raise(min(rule.limit, weight + rule.step), until, higher=True)
    if seen.raised is not None and now >= seen.raised.until - timedelta(seconds=rule.hold_s / 2):
        return Raise(weight, until, higher=False)
    return None

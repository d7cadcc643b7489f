"""The auto-raise rule at work: what it sees of each lane and the override it writes; policy/auto_raise.py decides.

Its raises are lines of the audit log like an operator's changes of a weight, undone from the same page.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, operations, overrides
from generation import rounds
from generation.models import Lane, LaneOverride
from generation.policy import auto_raise as policy
from generation.scheduling import lane_settings, pool_settings, queue_waits
from generation.scheduling.lane_actions import ChangeLaneWeight

AUTHOR = "auto-raise"
Kind = LaneOverride.AuthorKind


def run(now: datetime) -> dict[str, policy.Raise]:
    """One look at every lane that has the rule switched on: lane → the raise that was written."""
    rules = {lane: rule for lane, rule in pool_settings.raise_rules(now).items() if rule.enabled}
    if not rules:
        return {}
    with transaction.atomic():
        if not rounds.is_mine("generation.auto_raise"):  # two would each see no raise yet and write one
            return {}
        lanes = [lane for lane in lane_settings.lanes() if lane.slug in rules]
        waits = _waits(lanes, now)
        decided = {}
        for lane in lanes:
            rule = rules[lane.slug]
            seen = _seen(lane, waits.get(lane.slug), now)
            change = policy.decide(rule, seen, now)
            if change is not None:
                _write(lane, rule, seen, change)
                decided[lane.slug] = change
    return decided


def _waits(lanes: Iterable[Lane], now: datetime) -> dict[str, float]:
    """Lane → p95 wait for a turn in seconds, turns that last counted with their age; one query a pool."""
    found = {}
    for pool in sorted({lane.pool_id for lane in lanes}):
        found |= queue_waits.turns_p95_s(pool, now)
    return found


def _seen(lane: Lane, p95_s: float | None, now: datetime) -> policy.Seen:
    standing = [o for o in lane.standing_overrides if o.field == "weight" and overrides.in_force(o, now)]
    own = [o for o in standing if o.author_kind == Kind.AUTO_RAISE]
    others = [o for o in standing if o.author_kind != Kind.AUTO_RAISE]
    newest = max(own, key=lambda override: (override.created_at, override.pk), default=None)
    return policy.Seen(
        p95_s=p95_s,
        baseline=lane.weight,
        raised=policy.Raised(newest.value, newest.created_at, newest.expires_at) if newest else None,
        others_weight=others[-1].value if others else None,
        taken_back_at=_taken_back_at(lane),
    )


def _taken_back_at(lane: Lane) -> datetime | None:
    """When somebody other than the rule last removed a raise of its."""
    raises = LaneOverride.objects.filter(lane=lane, field="weight", author_kind=Kind.AUTO_RAISE)
    taken_back = raises.exclude(removed_at=None).exclude(removed_by=AUTHOR).order_by("-removed_at")
    return taken_back.values_list("removed_at", flat=True).first()


def _write(lane: Lane, rule: policy.Rule, seen: policy.Seen, change: policy.Raise) -> None:
    """The new raise takes the place of the one before, so that one undo is enough."""
    Lane.objects.select_for_update(no_key=True).get(pk=lane.pk)
    before = seen.raised.weight if seen.raised else seen.baseline
    what = f"weight {before:g} → {change.weight:g}" if change.higher else f"weight {before:g} stands longer"
    reason = f"p95 wait {seen.p95_s:.0f} s is over {rule.threshold_s:g} s: {what}, at most {rule.limit:g}"
    mine = LaneOverride.objects.filter(
        lane=lane, field="weight", author_kind=Kind.AUTO_RAISE, removed_at=None
    )
    mine.update(removed_at=Now(), removed_by=AUTHOR)
    override = LaneOverride.objects.create(
        lane=lane,
        field="weight",
        value=change.weight,
        author_kind=Kind.AUTO_RAISE,
        author=AUTHOR,
        reason=reason,
        expires_at=change.until,
    )
    audit.record(
        actor=AUTHOR,
        action=ChangeLaneWeight.name,
        target=f"lane:{lane.slug}",
        reason=reason,
        before={"weight": before},
        after={"weight": change.weight, "expires_at": change.until.isoformat()},
        undo={"override": override.pk},
    )
    if change.higher:
        _tell(lane, seen, before, change)


def _tell(lane: Lane, seen: policy.Seen, before: float, change: policy.Raise) -> None:
    detail = {"p95_s": round(seen.p95_s, 1), "before": before, "weight": change.weight}
    operations.report("lane.auto_raised", "warning", f"lane:{lane.slug}", detail)

"""Which text rules are live: each rule's own switch, under the overrides that stand."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from accounts.overrides import Overriding
from safety.models import Rule
from safety.policy.proposed import Proposed
from safety.policy.records import RuleOverride


@dataclass(frozen=True)
class RuleState:
    """A rule with what holds now, and the override that it holds by, if any."""

    rule: Rule
    live: bool
    override: Overriding | None


def states(now: datetime) -> list[RuleState]:
    """Every rule, oldest first, as it stands at `now`. Two queries."""
    standing = _standing()
    return [_state(rule, standing[rule.pk], now) for rule in Rule.objects.order_by("id")]


def live(now: datetime, proposed: Proposed | None = None) -> tuple[list[Rule], datetime | None]:
    """The rules that are live at `now`, oldest first, and the moment from which that has to be asked again."""
    standing = _standing()
    if proposed and proposed.kind == "rule":
        standing[int(proposed.row)].append(proposed)
    candidates = [*Rule.objects.filter(live=True)]
    candidates += Rule.objects.filter(pk__in=standing, live=False)
    rules = [rule for rule in candidates if _state(rule, standing[rule.pk], now).live]
    every = [override for found in standing.values() for override in found]
    return sorted(rules, key=lambda rule: rule.pk), _until(every, now)


def _standing() -> dict[int, list[Overriding]]:
    standing: dict[int, list[Overriding]] = defaultdict(list)
    for override in RuleOverride.objects.filter(removed_at=None).order_by("created_at", "id"):
        standing[override.rule_id].append(override)
    return standing


def _state(rule: Rule, standing: list[Overriding], now: datetime) -> RuleState:
    holding = [override for override in standing if overrides.in_force(override, now)]
    values = overrides.effective({"live": rule.live}, standing, now)
    return RuleState(rule, bool(values["live"]), holding[-1] if holding else None)


def _until(standing: Iterable[Overriding], now: datetime) -> datetime | None:
    """The next moment at which an override begins or ends; one that begins later was made by a clock ahead of ours."""
    moments = [moment for one in standing for moment in (one.created_at, one.expires_at) if moment]
    return min((moment for moment in moments if moment > now), default=None)

"""Alarms on a recorded history: what they would have done, look by look."""

from collections.abc import Iterable

from console.alarms.policy.conditions import Condition, Terms
from console.alarms.policy.history import Recorded
from console.alarms.policy.standing import QUIET, Standing, Transition, advance


def replay(
    condition: Condition, terms: Terms, history: Recorded, scope: str = "", begin: int = 0
) -> list[Transition]:
    """Every change of one alarm in one scope, oldest first; looked at after every step from `begin` on."""
    standing, changes = QUIET, []
    for step in range(begin, history.steps):
        seen = condition.look(terms, history.at(step), scope)
        standing, change = next_standing(standing, condition, terms, seen, history.time(step))
        if change:
            changes.append(change)
    return changes


def next_standing(
    standing: Standing, condition: Condition, terms: Terms, seen, now: float
) -> tuple[Standing, Transition | None]:
    """`advance`, the way the condition's values run."""
    return advance(standing, seen, terms, now, rising=condition.rising)


def everywhere(
    condition: Condition, terms: Terms, history: Recorded, begin: int = 0
) -> dict[str, list[Transition]]:
    """Scope → changes, over all scopes that the history knows."""
    scopes: Iterable[str] = history.at(0).scopes(condition.subject)
    return {scope: replay(condition, terms, history, scope, begin) for scope in sorted(scopes)}

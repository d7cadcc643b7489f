"""Which incident goes first: safety outranks money, money outranks service, whatever each of them costs.

What still does harm goes before what was mitigated; then the gravest stake, the severity, the oldest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SERVICE, MONEY, SAFETY = 1, 2, 3  # as alarms are ordered, see alarms/policy/catalog.py
STAKES = {SAFETY: "Safety", MONEY: "Money", SERVICE: "Service"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open incident as its order wants it. `opened_at` in seconds, cost in micro-dollars."""

    number: int
    title: str
    grave: int
    severity: int
    mitigated: bool
    opened_at: float
    cost_micro_dollars: int


def rank(one: Waiting) -> tuple:
    """What incidents are sorted by. The cost is not in it."""
    return one.mitigated, -one.grave, one.severity, one.opened_at, one.number


def ordered(incidents: Iterable[Waiting]) -> list[Waiting]:
    """What goes first, first."""
    return sorted(incidents, key=rank)


def words(incidents: Sequence[Waiting]) -> str:
    """Why the first goes first, in one or two sentences; empty for fewer than two that still do harm."""
    harmful = [one for one in ordered(incidents) if not one.mitigated]
    if len(harmful) < 2:
        return ""
    first, rest = harmful[0], harmful[1:]
    lesser = [one for one in rest if one.grave < first.grave]
    if not lesser:
        return (
            f"{len(harmful)} incidents still do harm, all about {STAKES[first.grave].lower()}: "
            f"incident {first.number} ({first.title}) goes first, by severity and then by age."
        )
    dearest = max(lesser, key=lambda one: one.cost_micro_dollars)
    sentence = (
        f"{STAKES[first.grave]} outranks {' and '.join(_stakes(lesser))}: "
        f"take incident {first.number} ({first.title}) first."
    )
    if dearest.cost_micro_dollars > first.cost_micro_dollars:
        sentence += (
            f" That incident {dearest.number} ({dearest.title}) costs more, {_dollars(dearest)} by now "
            f"against {_dollars(first)}, changes nothing about it."
        )
    return sentence


def _stakes(incidents: Iterable[Waiting]) -> list[str]:
    return [STAKES[grave].lower() for grave in sorted({one.grave for one in incidents}, reverse=True)]


def _dollars(one: Waiting) -> str:
    cents = (one.cost_micro_dollars + 5_000) // 10_000
    return f"${cents // 100:,}.{cents % 100:02d}"

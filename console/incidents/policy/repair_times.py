"""How long incidents took: p50 and p99 of the times to mitigate and to resolve, per alarm or runbook."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """A resolved incident: what it counts under, and its times since it was opened, in seconds."""

    group: str
    mitigated_s: float
    resolved_s: float


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. With fewer than a hundred incidents a p99 is the longest of them."""

    group: str
    count: int
    mitigate_p50: float
    mitigate_p99: float
    resolve_p50: float
    resolve_p99: float


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank: the least of the values that at least `share` of them do not exceed. Not of no values."""
    if not values:
        raise ValueError("no values have no percentile")
    rank = -(-len(values) * round(share * 100) // 100)
    return sorted(values)[max(rank, 1) - 1]


def times(ended: Iterable[Ended]) -> list[Times]:
    """Per group, the group with most incidents first."""
    groups: dict[str, list[Ended]] = {}
    for one in ended:
        groups.setdefault(one.group, []).append(one)
    found = [_of(group, rows) for group, rows in groups.items()]
    return sorted(found, key=lambda one: (-one.count, one.group))


def _of(group: str, rows: list[Ended]) -> Times:
    mitigated, resolved = [one.mitigated_s for one in rows], [one.resolved_s for one in rows]
    return Times(
        group,
        len(rows),
        percentile(mitigated, 0.5),
        percentile(mitigated, 0.99),
        percentile(resolved, 0.5),
        percentile(resolved, 0.99),
    )

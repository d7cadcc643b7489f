"""A change of policy that nobody has made yet, as one more override, so that a preview derives what it would give."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Proposed:
    """One override more, on top of those that stand. `kind` and `row` name the baseline row as an action's target does.

    It answers as an `accounts.overrides.Overriding` does; its id 0 shows in versions.
    """

    kind: str  # threshold, scans, category, rule
    row: str
    field: str
    value: Any
    created_at: datetime
    expires_at: datetime | None = None
    removed_at: datetime | None = None
    pk: int = 0


def overrides_of(proposed: Proposed | None, kind: str, row: str) -> list[Proposed]:
    """The proposed override where it is about this row, else none."""
    return [proposed] if proposed and (proposed.kind, proposed.row) == (kind, row) else []

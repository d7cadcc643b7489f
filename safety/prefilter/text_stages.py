"""What the stages behind the rules go by: live examples, and the scores from which each category is refused."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from accounts.overrides import Overriding
from safety.policy.proposed import Proposed, overrides_of
from safety.prefilter.normalise import normalise
from safety.prefilter.text_records import KINDS, SCORES, TextExample, TextThreshold, TextThresholdOverride


@dataclass(frozen=True, slots=True)
class Limit:
    """From which scores a category is refused; `version` names the rows ("2", "2+o5")."""

    category: str
    similarity: float
    classifier: float
    guard: float
    version: str


@dataclass(frozen=True)
class Stages:
    """The examples of a kind as the scorer gets them, (id, category, text), and the limits, child safety first."""

    limits: tuple[Limit, ...]
    examples: tuple[tuple[int, str, str], ...]
    versions: dict[int, int]  # of the examples
    digest: str

    @property
    def compared(self) -> frozenset[str]:
        """The categories that have an example."""
        return frozenset(category for _, category, _ in self.examples)


def live(now: datetime, proposed: Proposed | None = None) -> tuple[dict[str, Stages], datetime | None]:
    """kind → stages in force at `now`, and the moment from which that has to be asked again. Three queries."""
    standing = defaultdict(list)
    for override in TextThresholdOverride.objects.filter(removed_at=None).order_by("created_at", "id"):
        standing[override.threshold_id].append(override)
    thresholds = list(TextThreshold.objects.order_by("category"))
    examples = list(TextExample.objects.filter(live=True).order_by("id"))
    found = {
        kind: _stages(
            [
                _limit(
                    row,
                    [*standing[row.pk], *overrides_of(proposed, "text", f"{row.category}/{row.kind}")],
                    now,
                )
                for row in thresholds
                if row.kind == kind
            ],
            [row for row in examples if kind in row.kinds],
        )
        for kind in KINDS
    }
    every = [one for rows in standing.values() for one in rows]
    moments = [moment for one in every for moment in (one.created_at, one.expires_at) if moment]
    return found, min((moment for moment in moments if moment > now), default=None)


def _limit(row: TextThreshold, standing: Sequence[Overriding], now: datetime) -> Limit:
    values = overrides.effective({name: getattr(row, name) for name in SCORES}, standing, now)
    counted = [str(one.pk) for one in standing if overrides.in_force(one, now)]
    scores = [float(values[name]) for name in SCORES]
    return Limit(row.category, *scores, version="+o".join([str(row.version), *counted]))


def _stages(limits: list[Limit], rows: list[TextExample]) -> Stages:
    known = {limit.category for limit in limits}
    # An example of a category without a threshold refuses nothing: there is no score to refuse from.
    rows = [row for row in rows if row.category in known]
    examples = tuple((row.pk, row.category, normalise(row.text)) for row in rows)
    ordered = sorted(limits, key=lambda limit: limit.category != "child_safety")
    digest = hashlib.sha256(json.dumps(examples).encode()).hexdigest()
    return Stages(tuple(ordered), examples, {row.pk: row.version for row in rows}, digest)

"""The thresholds in force: baseline rows with the overrides that stand, read anew for every scan."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from accounts import overrides
from accounts.models import Override
from accounts.overrides import Overriding
from safety.models import PolicyVersion, Threshold, ThresholdOverride
from safety.policy.proposed import Proposed, overrides_of
from safety.policy.records import LikenessKind, LikenessThreshold, LikenessThresholdOverride

FIELDS = ("block_score", "review_score")
LIKENESS, KIND_EVIDENCE = "likeness", "likeness_kind"


@dataclass(frozen=True, slots=True)
class EffectiveThreshold:
    """The scores of one frame class that count now; `version` names the rows they came from ("3", "3+o17").

    Likeness has scores per kind of person in `kinds`; its own are then the strictest of all, for a kind nobody told.
    """

    frame_class: str
    block_score: float
    review_score: float
    version: str
    kinds: Mapping[str, "EffectiveThreshold"] = field(default_factory=dict)

    def for_evidence(self, evidence: Mapping) -> "EffectiveThreshold":
        """The scores for one finding: those of the kind that its evidence names, else these."""
        kind = evidence.get(KIND_EVIDENCE)
        return self.kinds.get(kind, self) if isinstance(kind, str) else self


def effective(now: datetime, proposed: Proposed | None = None) -> dict[str, EffectiveThreshold]:
    """class → threshold in force at `now`. A class without a row is missing, and so can't be passed.

    Likeness is missing too where a kind of person has no row.
    """
    every = standing(now, proposed)
    kinds = {name.partition("/")[2]: one for name, one in every.items() if "/" in name}
    found = {name: one for name, one in every.items() if "/" not in name}
    if LIKENESS in found:
        if set(kinds) == set(LikenessKind.values):
            found[LIKENESS] = _strictest(found[LIKENESS], kinds)
        else:
            del found[LIKENESS]
    return found


def standing(now: datetime, proposed: Proposed | None = None) -> dict[str, EffectiveThreshold]:
    """Each baseline row's own scores under its overrides: by class, and for kinds of person as likeness/politician.

    `proposed` counts as one more override, the newest: what a preview looks at.
    """
    found = {}
    for row, made in _with_overrides(Threshold, ThresholdOverride):
        changed = overrides_of(proposed, "threshold", row.frame_class)
        found[row.frame_class] = _effective(row.frame_class, row, [*made, *changed], now)
    for row, made in _with_overrides(LikenessThreshold, LikenessThresholdOverride):
        name = f"{LIKENESS}/{row.kind}"
        made = [*made, *overrides_of(proposed, "threshold", name)]
        found[name] = _effective(LIKENESS, row, made, now, f"{row.kind} ")
    return found


def _with_overrides(model: type, override_model: type[Override]) -> list[tuple]:
    """Each baseline row with its overrides that are not removed, oldest first."""
    made = defaultdict(list)
    for override in override_model.objects.filter(removed_at=None).order_by("created_at", "id"):
        made[override.threshold_id].append(override)
    return [(row, made[row.pk]) for row in model.objects.order_by("id")]


def _effective(
    frame_class: str,
    row: Threshold | LikenessThreshold,
    made: Sequence[Overriding],
    now: datetime,
    prefix: str = "",
) -> EffectiveThreshold:
    baseline = {name: getattr(row, name) for name in FIELDS}
    values = overrides.effective(baseline, made, now)
    block, review = float(values["block_score"]), float(values["review_score"])
    if frame_class == "child_safety":
        review = block
    return EffectiveThreshold(
        frame_class=frame_class,
        block_score=block,
        # One writer may lower the block score below another's review score: the stricter reading counts.
        review_score=min(review, block),
        version=prefix + "+o".join([str(row.version), *map(str, counted(made, now))]),
    )


def counted(made: Sequence[Overriding], now: datetime) -> list[int]:
    """The overrides that give the values in force: per field the newest, by id; `made` comes oldest first."""
    newest = {override.field: override.pk for override in made if overrides.in_force(override, now)}
    return sorted(newest.values())


def _strictest(own: EffectiveThreshold, kinds: Mapping[str, EffectiveThreshold]) -> EffectiveThreshold:
    """The scores for a person of unknown kind. Of equal ones the class's own row is named."""
    every = [own, *kinds.values()]
    block = min(every, key=lambda one: one.block_score)
    review = min(every, key=lambda one: one.review_score)
    versions = dict.fromkeys([block.version, review.version])
    return EffectiveThreshold(
        own.frame_class, block.block_score, review.review_score, ", ".join(versions), dict(kinds)
    )


def policy_version() -> int:
    """The version of everything that decides about frames: thresholds, scan policy, overrides, hash lists."""
    return PolicyVersion.objects.filter(name="frames").values_list("version", flat=True).first() or 0

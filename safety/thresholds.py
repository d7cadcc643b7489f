"""The thresholds in force: baseline rows with the overrides that stand, read anew for every scan."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from safety.models import PolicyVersion, Threshold, ThresholdOverride


@dataclass(frozen=True, slots=True)
class EffectiveThreshold:
    """The scores of one frame class that count now; `version` names the rows they came from ("3", "3+o17")."""

    frame_class: str
    block_score: float
    review_score: float
    version: str


def effective(now: datetime) -> dict[str, EffectiveThreshold]:
    """class → threshold in force at `now`. A class without a row is missing, and so can't be passed."""
    standing = defaultdict(list)
    for override in ThresholdOverride.objects.filter(removed_at=None).order_by("created_at", "id"):
        standing[override.threshold_id].append(override)
    return {row.frame_class: _effective(row, standing[row.pk], now) for row in Threshold.objects.all()}


def _effective(row: Threshold, standing: list[ThresholdOverride], now: datetime) -> EffectiveThreshold:
    baseline = {"block_score": row.block_score, "review_score": row.review_score}
    values = overrides.effective(baseline, standing, now)
    block, review = float(values["block_score"]), float(values["review_score"])
    if row.frame_class == "child_safety":
        review = block
    counted = [str(override.pk) for override in standing if overrides.in_force(override, now)]
    return EffectiveThreshold(
        frame_class=row.frame_class,
        block_score=block,
        # One writer may lower the block score below another's review score: the stricter reading counts.
        review_score=min(review, block),
        version="+o".join([str(row.version), *counted]),
    )


def policy_version() -> int:
    """The version of everything that decides about frames: thresholds, overrides, hash lists."""
    return PolicyVersion.objects.filter(name="frames").values_list("version", flat=True).first() or 0

"""What holds for every scan besides thresholds: faces, and how much of each class goes to a person."""

from dataclasses import dataclass
from datetime import datetime

from accounts import overrides
from safety.policy.proposed import Proposed
from safety.policy.records import Faces, ReviewLevel, ScanPolicy, ScanPolicyOverride
from safety.policy.thresholds import counted

LEVELS = ("likeness", "intimate", "violence")
FIELDS = ("faces", *LEVELS)


@dataclass(frozen=True, slots=True)
class Stance:
    """The scan policy in force. `version` names the rows it came from ("1", "1+o4")."""

    faces: str = Faces.ALLOW
    likeness: str = ReviewLevel.BY_SCORE
    intimate: str = ReviewLevel.BY_SCORE
    violence: str = ReviewLevel.BY_SCORE
    version: str = "none"

    def level(self, frame_class: str) -> str:
        """How much of the class goes to review; child safety blocks and knows no review."""
        return getattr(self, frame_class) if frame_class in LEVELS else ReviewLevel.BY_SCORE


def in_force(now: datetime, proposed: Proposed | None = None) -> Stance:
    """The stance at `now`, with `proposed` where a preview asks.

    Without a baseline row every clip is held back for review, so that it shows.
    """
    row = ScanPolicy.objects.filter(pk="scans").first()
    if row is None:
        everything = ReviewLevel.EVERYTHING
        return Stance(Faces.REVIEW, everything, everything, everything)
    standing: list = [*ScanPolicyOverride.objects.filter(removed_at=None).order_by("created_at", "id")]
    standing += [proposed] if proposed and proposed.kind == "scans" else []
    values = overrides.effective({name: getattr(row, name) for name in FIELDS}, standing, now)
    version = "+o".join([str(row.version), *map(str, counted(standing, now))])
    return Stance(**values, version=version)

"""People say which clips are coherent and which are broken; from that comes the threshold of the warp error."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db.models import Exists, OuterRef

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation.evaluation.case_records import (
    CoherenceLabel,
    CoherenceThreshold,
    EvaluationCase,
    runs_with_clips,
)
from generation.policy.coherence import OneKindOnly, Separation, best_threshold

LEAST_OF_EACH = 5  # clips labelled coherent, and broken: fewer would make a threshold of one person's moment


def clips():
    """Cases with a clip that people can look at, the newest first."""
    kept = EvaluationCase.objects.filter(run__in=runs_with_clips())
    return kept.exclude(path="").exclude(warp_error=None).order_by("-pk")


def next_for(person: User) -> EvaluationCase | None:
    """The newest clip that this person has not labelled."""
    own = CoherenceLabel.objects.filter(case=OuterRef("pk"), by=person)
    return clips().filter(~Exists(own)).first()


def label(case_id: int, person: User, coherent: bool) -> CoherenceLabel:
    """Keep what a person says of a clip; saying it again otherwise counts instead. Raises `ApiError` not_found."""
    case = clips().filter(pk=case_id).first()
    if case is None:
        raise ApiError("not_found", "There is no such clip to label.")
    return CoherenceLabel.objects.create(case=case, by=person, coherent=coherent)


def in_force() -> CoherenceThreshold | None:
    """The threshold that counts now."""
    return CoherenceThreshold.objects.order_by("-pk").first()


def errors_by_label() -> tuple[list[float], list[float]]:
    """Warp errors of the clips that most people call coherent, and broken; where they are even, of neither."""
    newest = CoherenceLabel.objects.order_by("case_id", "by_id", "-id").distinct("case_id", "by_id")
    votes: dict[int, Counter[bool]] = defaultdict(Counter)
    errors: dict[int, float] = {}
    for row in newest.select_related("case"):
        votes[row.case_id][row.coherent] += 1
        errors[row.case_id] = row.case.warp_error
    coherent = [errors[pk] for pk, said in votes.items() if said[True] > said[False]]
    broken = [errors[pk] for pk, said in votes.items() if said[False] > said[True]]
    return coherent, broken


@dataclass
class CalibrateCoherence(Action):
    """Take the threshold that separates best what people labelled."""

    name: ClassVar[str] = "evaluation.coherence_threshold"
    title: ClassVar[str] = "Calibrate the coherence threshold"
    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY

    @property
    def target(self) -> str:
        return "evaluation:coherence"

    def preview(self) -> Preview:
        before, found = in_force(), self._found()
        words = (
            f"Clips with a warp error above {found.threshold:.4f} count as broken. Of {found.coherent} coherent and "
            f"{found.broken} broken clips that tells {found.balanced_accuracy:.0%} right."
        )
        return Preview(_value(before), {"threshold": found.threshold}, words)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "A threshold doesn't expire: it is undone.", param="expires_at")
        before, found = in_force(), self._found()
        made = CoherenceThreshold.objects.create(
            value=found.threshold,
            balanced_accuracy=found.balanced_accuracy,
            coherent=found.coherent,
            broken=found.broken,
            author=actor.email,
            reason=reason.strip(),
        )
        undo = {"version": before.pk} if before else None
        return {"before": _value(before), "after": _value(made), "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """The earlier threshold counts again, as a new version."""
        before, earlier = in_force(), CoherenceThreshold.objects.get(pk=undo["version"])
        copied = ("value", "balanced_accuracy", "coherent", "broken")
        made = CoherenceThreshold.objects.create(
            **{name: getattr(earlier, name) for name in copied}, author=actor.email, reason=reason.strip()
        )
        return {"before": _value(before), "after": _value(made), "undo": None}

    def _found(self) -> Separation:
        coherent, broken = errors_by_label()
        try:
            if min(len(coherent), len(broken)) < LEAST_OF_EACH:
                raise OneKindOnly
            return best_threshold(coherent, broken)
        except OneKindOnly as problem:
            message = (
                f"{len(coherent)} clips are labelled coherent and {len(broken)} broken. Label at least "
                f"{LEAST_OF_EACH} of each first."
            )
            raise ApiError("invalid_value", message, param="labels") from problem


def _value(row: CoherenceThreshold | None) -> dict:
    return {"threshold": row.value, "version": row.pk} if row else {"threshold": None}

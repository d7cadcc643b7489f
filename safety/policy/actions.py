"""Changes of live policy by trust & safety: thresholds, faces and review levels, suspended categories, rules.

Each is an action: previewed, with a reason, for a time if wanted, undone by removing its override, audited. What would
loosen child safety takes a second person.
"""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import AuditEntry, Override, StaffRole, User
from safety.models import Category, FrameClass, Rule, Threshold, ThresholdOverride
from safety.policy import rules as policy_rules
from safety.policy import scans as policy_scans
from safety.policy import suspensions as policy_suspensions
from safety.policy import thresholds
from safety.policy.records import (
    Faces,
    LikenessKind,
    LikenessThreshold,
    LikenessThresholdOverride,
    PromptCategory,
    PromptCategoryOverride,
    ReviewLevel,
    RuleOverride,
    ScanPolicy,
    ScanPolicyOverride,
)
from safety.prefilter import text_stages
from safety.prefilter.text_records import TextThreshold, TextThresholdOverride

CHILD_SAFETY = "child_safety"
SCORES = {"block_score": "Block score", "review_score": "Review score"}


@dataclass
class ChangePolicy(Approvable):
    """Override one field of one baseline row. `row` names it, `value` is what it shall be; None: not chosen yet."""

    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY
    kind: ClassVar[str]  # of the target
    overrides: ClassVar[type[Override]]

    row: str
    field: str
    value: Any = None

    @property
    def target(self) -> str:
        return f"{self.kind}:{self.row}"

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        return cls(**payload)

    @classmethod
    def of_entry(cls, entry: AuditEntry) -> Self:
        """The action that an audit entry recorded, to undo it."""
        return cls(entry.target.partition(":")[2], next(iter(entry.before)))

    def payload(self) -> dict:
        return {"row": self.row, "field": self.field, "value": self.value}

    @property
    @abstractmethod
    def label(self) -> str:
        """What is changed, in words. Raises `ApiError` for what does not exist."""

    @abstractmethod
    def words(self, value: Any) -> str:
        """A value in words."""

    @abstractmethod
    def in_force(self) -> Any:
        """The value now."""

    @abstractmethod
    def baseline(self, *, lock: bool) -> models.Model:
        """The row that is overridden, locked so that two changes at once see one another."""

    @abstractmethod
    def check(self) -> None:
        """Raise `ApiError` for a value that can't be."""

    @property
    def column(self) -> str:
        """The column of the override that names its row."""
        return next(f.name for f in self.overrides._meta.concrete_fields if f.is_relation)

    def preview(self) -> Preview:
        label, before = self.label, self.in_force()
        self.check()
        sentence = (
            f"{label} goes from {self.words(before)} to {self.words(self.value)}, from the next look on, in every "
            "worker and web process."
        )
        return Preview({self.field: before}, {self.field: self.value}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        _ = self.label  # raises for what does not exist
        row = self.baseline(lock=True)
        self.check()
        before = self.in_force()
        override = self.overrides.objects.create(
            **{self.column: row},
            field=self.field,
            value=self.value,
            author_kind=Override.AuthorKind.OPERATOR,
            author=actor.email,
            reason=reason,
            expires_at=expires_at,
        )
        undo = {"override": override.pk}
        return {"before": {self.field: before}, "after": {self.field: self.value}, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        row = self.baseline(lock=True)
        before = self.in_force()
        standing = self.overrides.objects.filter(
            **{self.column: row}, pk=undo["override"], field=self.field, removed_at=None
        )
        if not standing.update(removed_at=Now(), removed_by=actor.email):
            raise ApiError("invalid_value", "This change was undone before.", param="entry")
        return {"before": {self.field: before}, "after": {self.field: self.in_force()}, "undo": None}


def _row(model: type[models.Model], lock: bool, **named: str) -> models.Model:
    rows = model.objects.select_for_update(no_key=True) if lock else model.objects
    found = rows.filter(**named).first()
    if found is None:
        raise ApiError("not_found", f"There is no policy {next(iter(named.values()))!r:.60}.", param="row")
    return found


class ChangeThreshold(ChangePolicy):
    """A score of a frame class, or of likeness for one kind of person (`row` likeness/politician)."""

    name: ClassVar[str] = "safety.threshold"
    title: ClassVar[str] = "Change threshold"
    kind: ClassVar[str] = "threshold"

    @property
    def person(self) -> str:
        """The kind of person; "" where the whole class is meant."""
        return self.row.partition("/")[2]

    @property
    def overrides(self) -> type[Override]:
        return LikenessThresholdOverride if self.person else ThresholdOverride

    @property
    def label(self) -> str:
        if self.field not in SCORES or (self.row == CHILD_SAFETY and self.field != "block_score"):
            raise ApiError("not_found", f"{self.row!r:.40} has no {self.field!r:.40}.", param="field")
        return f"{SCORES[self.field]} of {self._whose()}"

    def _whose(self) -> str:
        name, _, person = self.row.partition("/")
        if name not in FrameClass.values or (person and (name != "likeness" or person not in LikenessKind)):
            raise ApiError("not_found", f"There is no frame class {self.row!r:.60}.", param="row")
        if name == "likeness":
            return f"likeness, {LikenessKind(person).label.lower() if person else 'kind not told'}"
        return FrameClass(name).label.lower()

    def words(self, value: Any) -> str:
        return "nothing" if value is None else f"{value:g}"

    def in_force(self) -> float:
        _ = self.label
        found = thresholds.standing(timezone.now())
        if self.row not in found:
            raise ApiError("not_found", f"There is no threshold {self.row!r:.60}.", param="row")
        return getattr(found[self.row], self.field)

    def baseline(self, *, lock: bool) -> models.Model:
        if self.person:
            return _row(LikenessThreshold, lock, kind=self.person)
        return _row(Threshold, lock, frame_class=self.row)

    def check(self) -> None:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            message = f"{SCORES[self.field]} is a share above 0 and up to 1, such as 0.8."
            raise ApiError("invalid_value", message, param="value")
        block = thresholds.standing(timezone.now())[self.row].block_score
        if self.field == "review_score" and value > block:
            message = f"The review score can't lie above the block score in force ({block:g})."
            raise ApiError("invalid_value", message, param="value")

    def second_person(self) -> str | None:
        if self.row == CHILD_SAFETY and self.value is not None and self.value > self.in_force():
            return "A higher block score lets more pass in child safety: a second person has to agree."
        return None


SCAN_LABELS = {"faces": "Clips with faces"} | {
    name: f"Review level of {FrameClass(name).label.lower()}" for name in policy_scans.LEVELS
}


class ChangeScanPolicy(ChangePolicy):
    """What becomes of clips with faces (`faces`), or how much of a class goes to review (its name)."""

    name: ClassVar[str] = "safety.scans"
    title: ClassVar[str] = "Change scan policy"
    kind: ClassVar[str] = "scans"
    overrides: ClassVar[type[Override]] = ScanPolicyOverride

    @property
    def choices(self) -> type[models.TextChoices]:
        return Faces if self.field == "faces" else ReviewLevel

    @property
    def label(self) -> str:
        if self.field not in SCAN_LABELS or self.row != self.field:
            raise ApiError("not_found", f"There is no setting {self.field!r:.40} of scans.", param="field")
        return SCAN_LABELS[self.field]

    def words(self, value: Any) -> str:
        known = dict(self.choices.choices)
        return f"“{known.get(value, value)}”"

    def in_force(self) -> str:
        _ = self.label
        return getattr(policy_scans.in_force(timezone.now()), self.field)

    def baseline(self, *, lock: bool) -> models.Model:
        return _row(ScanPolicy, lock, pk="scans")

    def check(self) -> None:
        if self.value not in self.choices.values:
            named = ", ".join(self.choices.values)
            raise ApiError("invalid_value", f"{self.label} is one of: {named}.", param="value")


class SuspendCategory(ChangePolicy):
    """Take no requests of a prompt category, or take them again; `row` is category/kind, such as people/clip."""

    name: ClassVar[str] = "safety.category"
    title: ClassVar[str] = "Suspend category"
    kind: ClassVar[str] = "category"
    overrides: ClassVar[type[Override]] = PromptCategoryOverride

    @property
    def label(self) -> str:
        return f"{self._state().label} in {'clips' if self.field == 'clip_suspended' else 'code'}"

    def _state(self) -> policy_suspensions.CategoryState:
        slug, _, kind = self.row.partition("/")
        found = policy_suspensions.states(timezone.now()).get(slug)
        if found is None or policy_suspensions.FIELDS.get(kind) != self.field:
            raise ApiError("not_found", f"There is no prompt category {self.row!r:.60}.", param="row")
        return found

    def words(self, value: Any) -> str:
        return "suspended" if value else "taken"

    def in_force(self) -> bool:
        return getattr(self._state(), self.field)

    def baseline(self, *, lock: bool) -> models.Model:
        return _row(PromptCategory, lock, slug=self.row.partition("/")[0])

    def check(self) -> None:
        if not isinstance(self.value, bool):
            raise ApiError("invalid_value", "Say whether requests are suspended or taken.", param="value")


class SwitchRule(ChangePolicy):
    """Switch a rule on or off; `row` is its id, the field always `live`."""

    name: ClassVar[str] = "safety.rule_switch"
    title: ClassVar[str] = "Switch rule"
    kind: ClassVar[str] = "rule"
    overrides: ClassVar[type[Override]] = RuleOverride

    @property
    def label(self) -> str:
        rule = self.baseline(lock=False)
        return f"Rule {rule.pk} ({rule.get_category_display().lower()})"

    def words(self, value: Any) -> str:
        return "on" if value else "off"

    def in_force(self) -> bool:
        rule = self.baseline(lock=False)
        return next(one.live for one in policy_rules.states(timezone.now()) if one.rule.pk == rule.pk)

    def baseline(self, *, lock: bool) -> Rule:
        if not self.row.isdecimal() or self.field != "live":
            raise ApiError("not_found", f"There is no rule {self.row!r:.60}.", param="row")
        return _row(Rule, lock, pk=self.row)

    def check(self) -> None:
        if not isinstance(self.value, bool):
            raise ApiError("invalid_value", "Say whether the rule is on or off.", param="value")

    def second_person(self) -> str | None:
        if self.value is False and self.baseline(lock=False).category == CHILD_SAFETY and self.in_force():
            return "Without this rule more passes in child safety: a second person has to agree."
        return None


TEXT_SCORES = {
    "similarity_score": "Nearness to an example",
    "classifier_score": "Classifier score",
    "guard_score": "Guard score",
}


class ChangeTextThreshold(ChangePolicy):
    """From which score a stage of the text filter refuses a category; `row` is category/kind, such as violence/clip."""

    name: ClassVar[str] = "safety.text_threshold"
    title: ClassVar[str] = "Change text threshold"
    kind: ClassVar[str] = "text"
    overrides: ClassVar[type[Override]] = TextThresholdOverride

    @property
    def label(self) -> str:
        category, _, kind = self.row.partition("/")
        if self.field not in TEXT_SCORES or category not in Category.values or kind not in ("clip", "code"):
            raise ApiError("not_found", f"There is no text threshold {self.row!r:.60}.", param="row")
        what = "clips" if kind == "clip" else "code"
        return f"{TEXT_SCORES[self.field]} of {Category(category).label.lower()} in {what}"

    def words(self, value: Any) -> str:
        return "nothing" if value is None else "off" if value > 1 else f"{value:g}"

    def in_force(self) -> float:
        _ = self.label
        category, _, kind = self.row.partition("/")
        stages, _ = text_stages.live(timezone.now())
        for limit in stages[kind].limits:
            if limit.category == category:
                return getattr(limit, self.field.removesuffix("_score"))
        raise ApiError("not_found", f"There is no text threshold {self.row!r:.60}.", param="row")

    def baseline(self, *, lock: bool) -> models.Model:
        category, _, kind = self.row.partition("/")
        return _row(TextThreshold, lock, category=category, kind=kind)

    def check(self) -> None:
        value = self.value
        most = 1 if self.row.startswith(CHILD_SAFETY) else 1.01
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            off = "" if most == 1 else "; 1.01 switches the stage off for the category"
            raise ApiError("invalid_value", f"Give a share above 0 and up to 1{off}.", param="value")

    def second_person(self) -> str | None:
        if self.row.startswith(CHILD_SAFETY) and self.value is not None and self.value > self.in_force():
            return "A higher score lets more pass in child safety: a second person has to agree."
        return None


CHANGES: dict[str, type[ChangePolicy]] = {
    action.kind: action
    for action in (ChangeThreshold, ChangeScanPolicy, ChangeTextThreshold, SuspendCategory, SwitchRule)
}

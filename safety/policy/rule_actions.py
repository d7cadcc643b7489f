"""Adding a text rule from the desk: written in RE2, tried before it counts, for a time if wanted."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from django.core.exceptions import ValidationError
from django.db.models.functions import Now

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import AuditEntry, Override, StaffRole, User
from safety.models import Category, Rule
from safety.policy.records import RuleOverride
from safety.prefilter.patterns import BadPattern, compile_pattern

KINDS = {"clip": "clips", "code": "code"}


@dataclass(frozen=True)
class AddRule(Action):
    """A new rule that refuses what its pattern finds, from the next request on.

    With an expiry it is live only under an override that ends; without one it is live by itself.
    """

    name: ClassVar[str] = "safety.rule_add"
    title: ClassVar[str] = "Add rule"
    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY

    pattern: str
    category: str
    kinds: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"new_rule:{self.category}/{hashlib.sha256(self.pattern.encode()).hexdigest()[:12]}"

    @classmethod
    def of_entry(cls, entry: AuditEntry) -> Self:
        """The action that an audit entry recorded, to undo it."""
        return cls(entry.after["pattern"], entry.after["category"], tuple(entry.after["kinds"]))

    def rule(self) -> Rule:
        """The rule as a row that is not stored. Raises `ApiError` with RE2's words about a pattern it can't read."""
        if self.category not in Category.values:
            raise ApiError("invalid_value", "Choose a category of the list.", param="category")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ApiError("invalid_value", "Choose clips, code or both.", param="kinds")
        try:
            compile_pattern(self.pattern)
        except BadPattern as error:
            raise ApiError("invalid_value", str(error), param="pattern") from error
        return Rule(pattern=self.pattern, category=self.category, kinds=sorted(self.kinds))

    def preview(self) -> Preview:
        rule = self.rule()
        self._refuse_twice()
        where = " and ".join(KINDS[kind] for kind in rule.kinds)
        refused_as = Category(rule.category).label.lower()
        sentence = (
            f"Prompts for {where} in which the pattern is found are refused as {refused_as}, from the next request "
            "on."
        )
        return Preview({"live": False}, {"live": True, **self._told()}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        rule = self.rule()
        self._refuse_twice()
        rule.author, rule.reason, rule.live = actor.email, reason, expires_at is None
        try:
            rule.save()
        except ValidationError as error:
            raise ApiError("invalid_value", "; ".join(error.messages), param="pattern") from error
        undo: dict = {"rule": rule.pk}
        if expires_at is not None:
            override = RuleOverride.objects.create(
                rule=rule,
                field="live",
                value=True,
                author_kind=Override.AuthorKind.OPERATOR,
                author=actor.email,
                reason=reason,
                expires_at=expires_at,
            )
            undo["override"] = override.pk
        after = {"live": True, "rule": rule.pk, **self._told()}
        return {"before": {"live": False}, "after": after, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        rule = Rule.objects.select_for_update(no_key=True).get(pk=undo["rule"])
        if "override" in undo:
            standing = RuleOverride.objects.filter(pk=undo["override"], removed_at=None)
            changed = standing.update(removed_at=Now(), removed_by=actor.email)
        else:
            changed = Rule.objects.filter(pk=rule.pk, live=True).update(live=False)
        if not changed:
            raise ApiError("invalid_value", "This rule was taken back before.", param="entry")
        return {"before": {"live": True}, "after": {"live": False, "rule": rule.pk}, "undo": None}

    def _told(self) -> dict:
        return {"pattern": self.pattern, "category": self.category, "kinds": sorted(self.kinds)}

    def _refuse_twice(self) -> None:
        standing = Rule.objects.filter(pattern=self.pattern, category=self.category, live=True)
        if found := standing.filter(kinds__contains=sorted(self.kinds)).first():
            raise ApiError("invalid_value", f"Rule {found.pk} refuses this already.", param="pattern")

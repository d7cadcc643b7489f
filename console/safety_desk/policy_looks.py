"""Looking at a change of policy before it is made: what would flip, and the token that lets it be applied.

Applying takes the token that a preview of exactly this change, under the policies as they are, gave out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core import signing
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import User
from generation.afterwards import safety_preview
from generation.afterwards.safety_preview import Effect
from safety.models import PolicyVersion
from safety.policy.actions import CHANGES
from safety.policy.preview import Flip
from safety.policy.rule_actions import AddRule

SEEN_FOR = timedelta(minutes=15)
SALT = "policy change seen"
NEW_RULE = "new_rule"


@dataclass(frozen=True)
class Shown:
    """An example with whether a blurred frame of it can be asked for."""

    flip: Flip
    frame: bool


@dataclass(frozen=True)
class Seen:
    """A change with what it would do, and the token to apply it."""

    effect: Effect
    token: str

    @property
    def preview(self) -> Preview:
        return self.effect.preview

    @property
    def groups(self) -> list[dict]:
        return [
            {
                "group": group,
                "examples": [Shown(flip, safety_preview.has_frame(flip)) for flip in group.examples],
            }
            for group in self.effect.groups
        ]


def look(person: User, action: Action) -> Seen:
    """Rule recent traffic and the golden sets anew. Raises `ApiError` for a change that can't be made."""
    effect = safety_preview.effect(action, timezone.now())
    return Seen(effect, signing.dumps(_claims(person, action, effect.preview), salt=SALT))


def require_seen(token: str, person: User, action: Action) -> None:
    """Refuse a change that this person has not looked at under the policies as they are now."""
    claims = _claims(person, action, action.preview())
    try:
        seen = signing.loads(token, salt=SALT, max_age=SEEN_FOR)
    except signing.BadSignature:
        seen = None
    if seen != claims:
        message = "Look at what this change would do first: it was not previewed, or a policy changed since."
        raise ApiError("invalid_value", message, param="seen")


def _claims(person: User, action: Action, said: Preview) -> list:
    versions = dict(PolicyVersion.objects.values_list("name", "version"))
    return [
        person.pk,
        action.name,
        action.target,
        said.before,
        said.after,
        versions.get("text"),
        versions.get("frames"),
    ]


def action_of(given: Mapping[str, Any]) -> Action:
    """The action that a form asks for; without a value it can say what it is about, and no more."""
    if given["change"] == NEW_RULE:
        return AddRule(given["pattern"], given["category"], tuple(given["kinds"]))
    kind, _, row = given["change"].partition(":")
    if kind not in CHANGES:
        raise ApiError("not_found", f"There is no policy {given['change']!r:.60}.", param="change")
    return CHANGES[kind](row, given["field"], _value(kind, given["value"]))


def _value(kind: str, given: str) -> Any:
    if not given:
        return None
    if kind in ("threshold", "text"):
        try:
            return float(given)
        except ValueError:
            raise ApiError(
                "invalid_value", "Give the score as a number, such as 0.8.", param="value"
            ) from None
    if kind == "scans":
        return given
    if given not in ("0", "1"):
        raise ApiError("invalid_value", "Choose one of the two.", param="value")
    return given == "1"

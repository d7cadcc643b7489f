"""Operator changes of a lane, each one action: previewed, reasoned, undoable, audited."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db.models.functions import Now
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation import lane_settings
from generation.models import Lane, LaneOverride

LEAST_WEIGHT, MOST_WEIGHT = 0.1, 100.0


@dataclass(frozen=True)
class ChangeLaneWeight(Action):
    """Give a lane another weight; it counts from the next claim on, for the backlog that already waits too."""

    name: ClassVar[str] = "lane.weight"
    title: ClassVar[str] = "Change lane weight"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    lane_slug: str
    weight: float | None = None

    @property
    def target(self) -> str:
        return f"lane:{self.lane_slug}"

    def preview(self) -> Preview:
        """The lane's weight and its share of the pool's backlogged lanes, now and then."""
        lane, peers = self._lane(), lane_settings.lanes(self._lane().pool_id)
        self._check()
        now = timezone.now()
        weights = {peer.slug: lane_settings.effective(peer, now).weight for peer in peers}
        before = weights[lane.slug]
        share = before / sum(weights.values())
        changed = {**weights, lane.slug: self.weight}
        new_share = self.weight / sum(changed.values())
        sentence = (
            f"{lane.tier.name} in {lane.pool_id} goes from weight {before:g} to {self.weight:g}: with every lane "
            f"waiting, from {share:.0%} to {new_share:.0%} of the pool's GPU-seconds, from the next claim on."
        )
        return Preview(
            {"weight": before, "share": share}, {"weight": self.weight, "share": new_share}, sentence
        )

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        before = self._effective_under_lock()
        override = LaneOverride.objects.create(
            lane_id=self.lane_slug,
            field="weight",
            value=self.weight,
            author_kind=LaneOverride.AuthorKind.OPERATOR,
            author=actor.email,
            reason=reason,
            expires_at=expires_at,
        )
        after = {"weight": self.weight}
        return {"before": {"weight": before}, "after": after, "undo": {"override": override.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        before = self._effective_under_lock()
        standing = LaneOverride.objects.filter(pk=undo["override"], lane_id=self.lane_slug, removed_at=None)
        if not standing.update(removed_at=Now(), removed_by=actor.email):
            raise ApiError("invalid_value", "This change was undone before.", param="entry")
        after = self._effective_under_lock()
        return {"before": {"weight": before}, "after": {"weight": after}, "undo": None}

    def _check(self) -> None:
        if self.weight is None or not LEAST_WEIGHT <= self.weight <= MOST_WEIGHT:
            message = f"A weight lies between {LEAST_WEIGHT:g} and {MOST_WEIGHT:g}."
            raise ApiError("invalid_value", message, param="weight")

    def _lane(self) -> Lane:
        for lane in lane_settings.lanes():
            if lane.slug == self.lane_slug:
                return lane
        raise ApiError("not_found", f"There is no lane {self.lane_slug!r}.", param="lane")

    def _effective_under_lock(self) -> float:
        """The lane's weight with its row locked, so that two changes at once see one another."""
        if not Lane.objects.select_for_update(no_key=True).filter(pk=self.lane_slug).exists():
            raise ApiError("not_found", f"There is no lane {self.lane_slug!r}.", param="lane")
        return lane_settings.effective(self._lane(), timezone.now()).weight

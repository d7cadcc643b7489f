"""A lane's weight, changed by an operator: the setting whose effect depends on what the other lanes weigh."""

from dataclasses import dataclass
from typing import ClassVar

from django.utils import timezone

from accounts.actions import Preview
from generation.models import Lane
from generation.scheduling import lane_settings
from generation.scheduling.setting_actions import ChangeLaneSetting


@dataclass(frozen=True)
class ChangeLaneWeight(ChangeLaneSetting):
    """Give a lane another weight; it counts from the next claim on, for the backlog that already waits too."""

    name: ClassVar[str] = "lane.weight"
    title: ClassVar[str] = "Change lane weight"
    field: ClassVar[str] = "weight"

    def preview(self) -> Preview:
        """The lane's weight and its share of the pool's backlogged lanes, now and then."""
        self._check()
        lane = self._lane()
        now = timezone.now()
        peers = lane_settings.lanes(lane.pool_id)
        weights = {peer.slug: lane_settings.effective(peer, now).weight for peer in peers}
        before = weights[lane.slug]
        share = before / sum(weights.values())
        changed = {**weights, lane.slug: self.value}
        new_share = self.value / sum(changed.values())
        sentence = (
            f"{lane.tier.name} in {lane.pool_id} goes from weight {before:g} to {self.value:g}: with every lane "
            f"waiting, from {share:.0%} to {new_share:.0%} of the pool's GPU-seconds, from the next claim on."
        )
        return Preview(
            {"weight": before, "share": share}, {"weight": self.value, "share": new_share}, sentence
        )

    def _lane(self) -> Lane:
        for lane in lane_settings.lanes():
            if lane.slug == self.slug:
                return lane
        raise self._unknown()

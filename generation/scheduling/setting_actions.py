"""Operator changes of live settings: of lanes, of pools, and of the auto-raise rule.

Each is an override of one field, previewed, reasoned, with an expiry if wanted, undone by removing the row.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import Override, StaffRole, User
from generation.models import Lane, LaneOverride, Pool, PoolOverride, RaiseRuleOverride
from generation.scheduling import lane_settings, pool_settings


@dataclass(frozen=True)
class Setting:
    """A field that can be changed: what it is called, in which unit, and between which values."""

    label: str
    effect: str  # what it does, in a sentence for the panel
    unit: str
    least: float
    most: float
    whole: bool = False
    scale: int = 1  # how many of the stored unit make one of `unit`

    @property
    def yes_or_no(self) -> bool:
        return self.unit == "yes or no"

    def read(self, given: str, param: str) -> float | int | bool:
        """The value of a form field. Raises `ApiError` that says what is possible."""
        try:
            value = int(given) if self.whole else float(given)
        except ValueError:
            kind = "a whole number" if self.whole else "a number"
            raise ApiError("invalid_value", f"Give {self.label.lower()} as {kind}.", param=param) from None
        if not self.least <= value <= self.most:
            message = f"{self.label} lies between {self.least:g} and {self.most:g} {self.unit}.".replace(
                " .", "."
            )
            raise ApiError("invalid_value", message, param=param)
        if self.yes_or_no:
            return bool(value)
        return value if self.scale == 1 else round(value * self.scale)

    def words(self, value: Any) -> str:
        if value is None:
            return "no limit"
        if self.yes_or_no:
            return "on" if value else "off"
        return f"{value / self.scale:g} {self.unit}".rstrip()


LANE_SETTINGS = {
    "weight": Setting("Weight", "Its part of GPU time while others wait too.", "", 0.1, 100.0),
    "floor": Setting(
        "Floor", "The share of recent GPU time that the lane is owed before weights count.", "of 1", 0, 0.9
    ),
    "max_running": Setting(
        "Burst cap", "Jobs that one organization may have running in the lane.", "jobs", 1, 10_000, whole=True
    ),
}
POOL_SETTINGS = {
    "preempt_after_s": Setting(
        "Preempt after",
        "How long a job of a lane that is never interrupted waits before a running job of a preemptible lane "
        "gives way at its next step.",
        "s",
        1,
        86_400,
    ),
    "most_preemptions": Setting(
        "Most preemptions",
        "How often one job may be asked to give way; 0 switches it off.",
        "times",
        0,
        20,
        whole=True,
    ),
    "soon_s": Setting(
        "Soon free", "A device that should be free within this is waited for instead.", "s", 0, 600
    ),
    "capacity_units_micro": Setting(
        "Capacity",
        "Compute units that may run in the pool at once. One job runs whatever its size where nothing else does.",
        "units",
        1,
        10_000_000,
        whole=True,
        scale=1_000_000,
    ),
    "most_wait_s": Setting(
        "Longest wait accepted",
        "A request that would wait longer is refused as overload, with the time to come back; 0 refuses none.",
        "s",
        0,
        604_800,
    ),
    "gpu_hour_micro_dollars": Setting(
        "Device price",
        "What the page Costs counts for an hour of one of its devices from now on; no customer's price follows it.",
        "dollars an hour",
        0,
        1_000,
        scale=1_000_000,
    ),
    "paused": Setting(
        "Paused",
        "While it is, nothing new is claimed: what runs goes on, what waits keeps its place.",
        "yes or no",
        0,
        1,
        whole=True,
    ),
}
RAISE_SETTINGS = {
    "enabled": Setting(
        "Auto-raise rule", "Whether the rule raises this lane's weight.", "yes or no", 0, 1, whole=True
    ),
    "threshold_s": Setting("Threshold", "The p95 wait above which the weight rises.", "s", 1, 86_400),
    "step": Setting("Step", "The weight that is added at a time.", "", 0.1, 100),
    "limit": Setting("Limit", "The largest weight that the rule gives.", "", 0.1, 100),
    "pause_s": Setting("Pause", "How long a step may show its effect before the next one.", "s", 1, 86_400),
    "hold_s": Setting(
        "Hold", "How long a raise stands after the wait was last over the threshold.", "s", 10, 86_400
    ),
    "quiet_s": Setting(
        "Quiet", "How long the rule does nothing after an operator took a raise back.", "s", 0, 604_800
    ),
}


@dataclass(frozen=True)
class ChangeSetting(Action):
    """Override one field of a baseline row. `slug` names the row, `value` is what the setting's `read` answered."""

    role: ClassVar[str] = StaffRole.Role.OPERATOR
    kind: ClassVar[str]  # of the target: lane, pool, raise_rule
    settings: ClassVar[Mapping[str, Setting]]
    rows: ClassVar[type[models.Model]]  # locked, so that two changes at once see one another
    overrides: ClassVar[type[Override]]
    column: ClassVar[str]  # of the override, naming its row

    slug: str
    field: str
    value: Any = None

    @property
    def target(self) -> str:
        return f"{self.kind}:{self.slug}"

    @property
    def setting(self) -> Setting:
        if self.field not in self.settings:
            message = f"There is no setting {self.field!r:.40} of a {self.kind.replace('_', ' ')}."
            raise ApiError("not_found", message, param="field")
        return self.settings[self.field]

    @abstractmethod
    def in_force(self, now: datetime) -> Any:
        """The field's value now; None where it is no limit."""

    def preview(self) -> Preview:
        setting, before = self.setting, self._now()
        self._check()
        sentence = (
            f"{setting.label} of {self.slug} goes from {setting.words(before)} to {setting.words(self.value)}, "
            f"from the next look on. {setting.effect}"
        )
        return Preview({self.field: before}, {self.field: self.value}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._lock()
        self._check()
        before = self._now()
        override = self.overrides.objects.create(
            **{self.column: self.slug},
            field=self.field,
            value=self.value,
            author_kind=Override.AuthorKind.OPERATOR,
            author=actor.email,
            reason=reason,
            expires_at=expires_at,
        )
        undo = {"override": override.pk, "field": self.field}
        return {"before": {self.field: before}, "after": {self.field: self.value}, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        self._lock()
        before = self._now()
        standing = self.overrides.objects.filter(
            **{self.column: self.slug}, pk=undo["override"], field=self.field, removed_at=None
        )
        if not standing.update(removed_at=Now(), removed_by=actor.email):
            raise ApiError("invalid_value", "This change was undone before.", param="entry")
        return {"before": {self.field: before}, "after": {self.field: self._now()}, "undo": None}

    def _check(self) -> None:
        if self.value is None:
            raise ApiError("missing_required_parameter", "Give the new value.", param="value")
        plain = self.value / self.setting.scale
        self.setting.read(str(int(plain) if self.setting.whole else plain), "value")

    def _lock(self) -> None:
        if not self.rows.objects.select_for_update(no_key=True).filter(pk=self.slug).exists():
            raise self._unknown()

    def _now(self) -> Any:
        _ = self.setting
        if not self.rows.objects.filter(pk=self.slug).exists():
            raise self._unknown()
        return self.in_force(timezone.now())

    def _unknown(self) -> ApiError:
        return ApiError(
            "not_found", f"There is no {self.kind.replace('_', ' ')} {self.slug!r:.60}.", param="slug"
        )


@dataclass(frozen=True)
class ChangeLaneSetting(ChangeSetting):
    """A lane's floor or burst cap; its weight has an action of its own (lane_actions.py)."""

    name: ClassVar[str] = "lane.setting"
    title: ClassVar[str] = "Change lane setting"
    kind: ClassVar[str] = "lane"
    settings: ClassVar[Mapping[str, Setting]] = LANE_SETTINGS
    rows: ClassVar[type[models.Model]] = Lane
    overrides: ClassVar[type[Override]] = LaneOverride
    column: ClassVar[str] = "lane_id"

    def in_force(self, now: datetime) -> Any:
        lanes = {lane.slug: lane for lane in lane_settings.lanes()}
        if self.slug not in lanes:
            return None
        return asdict(lane_settings.effective(lanes[self.slug], now))[self.field]


@dataclass(frozen=True)
class ChangePoolSetting(ChangeSetting):
    """A pool's bound on waits, its preemption, its overload."""

    name: ClassVar[str] = "pool.setting"
    title: ClassVar[str] = "Change pool setting"
    kind: ClassVar[str] = "pool"
    settings: ClassVar[Mapping[str, Setting]] = POOL_SETTINGS
    rows: ClassVar[type[models.Model]] = Pool
    overrides: ClassVar[type[Override]] = PoolOverride
    column: ClassVar[str] = "pool_id"

    def in_force(self, now: datetime) -> Any:
        pools = pool_settings.pools(now)
        return asdict(pools[self.slug])[self.field] if self.slug in pools else None


@dataclass(frozen=True)
class ChangeRaiseRule(ChangeSetting):
    """A lane's auto-raise rule: on or off, threshold, step, limit and times."""

    name: ClassVar[str] = "raise_rule.setting"
    title: ClassVar[str] = "Change auto-raise rule"
    kind: ClassVar[str] = "raise_rule"
    settings: ClassVar[Mapping[str, Setting]] = RAISE_SETTINGS
    rows: ClassVar[type[models.Model]] = Lane
    overrides: ClassVar[type[Override]] = RaiseRuleOverride
    column: ClassVar[str] = "lane_id"

    def in_force(self, now: datetime) -> Any:
        rules = pool_settings.raise_rules(now)
        return asdict(rules[self.slug])[self.field] if self.slug in rules else None

"""What operators change of alarms: a setting, a silence, and saying that somebody has it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import Override, StaffRole, User
from console.alarms import measuring, paging, terms
from console.alarms.policy.catalog import BY_NAME
from console.alarms.policy.conditions import Terms
from console.alarms.policy.replay import everywhere
from console.alarms.policy.standing import Change
from console.models import AlarmDefinition, AlarmFiring, AlarmOverride, AlarmSilence
from generation.scheduling.setting_actions import ChangeSetting, Setting

REPLAYED = timedelta(hours=24)
LONGEST_SILENCE = timedelta(days=7)
SETTINGS = {
    "enabled": Setting("Switched on", "Whether the alarm is looked at.", "yes or no", 0, 1, whole=True),
    "threshold": Setting("Threshold", "Where it fires.", "", 0, 1_000_000),
    "healthy": Setting(
        "Well again", "Where it counts as well; between the two it stays as it is.", "", 0, 1_000_000
    ),
    "escalate": Setting("Second level", "Where a second person is paged.", "", 0, 1_000_000),
    "for_s": Setting("For", "How long the condition holds before it fires.", "s", 0, 3600),
    "clear_s": Setting("Well for", "How long all is well before it clears.", "s", 0, 86_400),
    "least_events": Setting(
        "Least events",
        "How many bad events, or waiting jobs, it takes at least.",
        "",
        1,
        1_000_000,
        whole=True,
    ),
}


@dataclass(frozen=True)
class ChangeAlarmSetting(ChangeSetting):
    """One setting of an alarm; its preview replays the last 24 h as they were recorded, as it is and as proposed."""

    name: ClassVar[str] = "alarm.setting"
    title: ClassVar[str] = "Change alarm setting"
    kind: ClassVar[str] = "alarm"
    settings: ClassVar[Mapping[str, Setting]] = SETTINGS
    rows: ClassVar[type[models.Model]] = AlarmDefinition
    overrides: ClassVar[type[Override]] = AlarmOverride
    column: ClassVar[str] = "alarm_id"

    def in_force(self, now: datetime) -> Any:
        return asdict(terms.of_alarm(self.slug, now))[self.field]

    def preview(self) -> Preview:
        said, now = super().preview(), timezone.now()
        current = terms.of_alarm(self.slug, now)
        before, after = fired(self.slug, now, current, replace(current, **{self.field: self.value}))
        sentence = (
            f"{said.sentence} On the last 24 h as they were recorded it would have fired {_times(after)}, "
            f"with the settings of now {_times(before)}."
        )
        return Preview(said.before | {"fired": before}, said.after | {"fired": after}, sentence)

    def _check(self) -> None:
        super()._check()
        proposed = replace(terms.of_alarm(self.slug, timezone.now()), **{self.field: self.value})
        sign = 1 if BY_NAME[self.slug].condition.rising else -1
        order = [proposed.healthy, proposed.threshold]
        order += [] if proposed.escalate is None else [proposed.escalate]
        if order != sorted(order, key=lambda value: sign * value):
            way = "not above" if sign > 0 else "not below"
            message = f"Well again lies {way} the threshold, and that {way} the second level."
            raise ApiError("invalid_value", message, param="value")


def fired(name: str, now: datetime, *proposed: Terms) -> list[int]:
    """How often an alarm would have fired on the recorded last 24 h, under each of these settings. Two queries."""
    condition = BY_NAME[name].condition
    longest = timedelta(seconds=max(condition.windows(), default=0))
    history = measuring.recorded(now, REPLAYED + longest, condition.measures())
    begin = history.steps - REPLAYED // measuring.STEP
    return [
        sum(
            change.change == Change.OPENED
            for changes in everywhere(condition, settings, history, begin).values()
            for change in changes
        )
        for settings in proposed
    ]


def _times(count: int) -> str:
    return "not once" if count == 0 else "once" if count == 1 else f"{count} times"


@dataclass(frozen=True)
class SilenceAlarm(Action):
    """Page nobody for an alarm until a time; it is still looked at and recorded. An empty scope is every scope."""

    name: ClassVar[str] = "alarm.silence"
    title: ClassVar[str] = "Silence alarm"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    alarm: str
    scope: str = ""

    @property
    def target(self) -> str:
        return f"alarm:{self.alarm}"

    def preview(self) -> Preview:
        self._require()
        where = f" in {self.scope}" if self.scope else ""
        sentence = (
            f"{BY_NAME[self.alarm].title}{where} pages nobody until then. It is still looked at and recorded, and what "
            "still fires at the end is told then."
        )
        return Preview({"silent": False}, {"silent": True, "scope": self.scope}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._require()
        now = timezone.now()
        if expires_at is None or expires_at > now + LONGEST_SILENCE:
            raise ApiError(
                "invalid_value", "A silence ends: choose for how long, seven days at most.", param="expires"
            )
        row = AlarmSilence.objects.create(
            alarm_id=self.alarm, scope=self.scope, author=actor.email, reason=reason, ends_at=expires_at
        )
        after = {"silent": True, "scope": self.scope}
        return {"before": {"silent": False}, "after": after, "undo": {"silence": row.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        standing = AlarmSilence.objects.filter(pk=undo["silence"], alarm=self.alarm, removed_at=None)
        if not standing.update(removed_at=Now(), removed_by=actor.email):
            raise ApiError("invalid_value", "This silence was ended before.", param="entry")
        return {"before": {"silent": True}, "after": {"silent": False}, "undo": None}

    def _require(self) -> None:
        if self.alarm not in BY_NAME:
            raise ApiError("not_found", f"There is no alarm {self.alarm!r:.60}.", param="alarm")


@dataclass(frozen=True)
class EndSilence(Action):
    """Let an alarm page again before its silence ends."""

    name: ClassVar[str] = "alarm.unsilence"
    title: ClassVar[str] = "End silence"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    silence: int

    @property
    def target(self) -> str:
        return f"alarm_silence:{self.silence}"

    def preview(self) -> Preview:
        return Preview({"silent": True}, {"silent": False}, "The alarm pages again, from the next look on.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        standing = AlarmSilence.objects.filter(pk=self.silence, removed_at=None, ends_at__gt=Now())
        if not standing.update(removed_at=Now(), removed_by=actor.email):
            raise ApiError("invalid_value", "This silence is over already.", param="silence")
        return {"before": {"silent": True}, "after": {"silent": False}, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Silence the alarm anew instead.", param="entry")


@dataclass(frozen=True)
class Acknowledge(Action):
    """Somebody has it: said on the page and wherever it was told."""

    name: ClassVar[str] = "alarm.acknowledge"
    title: ClassVar[str] = "Acknowledge"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    firing: int

    @property
    def target(self) -> str:
        return f"alarm_firing:{self.firing}"

    def preview(self) -> Preview:
        return Preview(
            {"acknowledged": False}, {"acknowledged": True}, "Everybody who was told sees that you have it."
        )

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        row = (
            AlarmFiring.objects.select_for_update(no_key=True)
            .filter(pk=self.firing, cleared_at=None, acknowledged_at=None)
            .first()
        )
        if row is None:
            message = "It cleared meanwhile, or somebody else has it."
            raise ApiError("invalid_value", message, param="firing")
        row.acknowledged_by, row.acknowledged_at = actor.email, timezone.now()
        row.save(update_fields=["acknowledged_by", "acknowledged_at"])
        paging.acknowledge(row)
        return {"before": {"acknowledged": False}, "after": {"acknowledged": True}, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "What was acknowledged stays so.", param="entry")

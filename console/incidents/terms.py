"""The live settings of incidents: what an hour of somebody on call costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import models

from accounts import overrides
from accounts.models import Override
from console.incidents.records import SETTINGS
from console.models import IncidentOverride, IncidentSettings
from generation.scheduling.setting_actions import ChangeSetting, Setting

ON_CALL_HOUR = "on_call_hour_micro_dollars"
FIELDS = {
    ON_CALL_HOUR: Setting(
        "On-call hour",
        "What the cost of an incident counts for an hour of each person on it.",
        "dollars an hour",
        0,
        10_000,
        scale=1_000_000,
    )
}


def on_call_hour(now: datetime) -> int:
    """Micro-dollars an hour, in force now; two queries."""
    row = IncidentSettings.objects.get(pk=SETTINGS)
    standing = row.overrides.filter(removed_at=None).order_by("pk")
    return int(
        overrides.effective({ON_CALL_HOUR: row.on_call_hour_micro_dollars}, standing, now)[ON_CALL_HOUR]
    )


@dataclass(frozen=True)
class ChangeIncidentSetting(ChangeSetting):
    """What incidents are reckoned with."""

    name: ClassVar[str] = "operated_incident.setting"
    title: ClassVar[str] = "Change incident setting"
    kind: ClassVar[str] = "incident_settings"
    settings: ClassVar[Mapping[str, Setting]] = FIELDS
    rows: ClassVar[type[models.Model]] = IncidentSettings
    overrides: ClassVar[type[Override]] = IncidentOverride
    column: ClassVar[str] = "settings_id"

    slug: str = SETTINGS
    field: str = ON_CALL_HOUR

    def in_force(self, now: datetime) -> Any:
        return on_call_hour(now)

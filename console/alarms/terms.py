"""The live settings of alarms: baseline rows under the overrides that stand."""

from datetime import datetime

from accounts import overrides
from console.alarms.policy.conditions import Terms
from console.alarms.records import FIELDS
from console.models import AlarmDefinition, AlarmOverride


def in_force(now: datetime) -> dict[str, Terms]:
    """Alarm → its settings in force; two queries."""
    standing: dict[str, list[AlarmOverride]] = {}
    for row in AlarmOverride.objects.filter(removed_at=None).order_by("pk"):
        standing.setdefault(row.alarm_id, []).append(row)
    return {
        row.name: _terms(row, standing.get(row.name, []), now)
        for row in AlarmDefinition.objects.order_by("pk")
    }


def of_alarm(name: str, now: datetime) -> Terms:
    """One alarm's settings in force; two queries. Raises AlarmDefinition.DoesNotExist."""
    row = AlarmDefinition.objects.get(pk=name)
    return _terms(row, row.overrides.filter(removed_at=None).order_by("pk"), now)


def _terms(row: AlarmDefinition, standing, now: datetime) -> Terms:
    return Terms(**overrides.effective({name: getattr(row, name) for name in FIELDS}, standing, now))

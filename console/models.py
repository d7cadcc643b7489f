"""The console's own rows, each kind in the folder of its subject."""

from console.alarms.records import (
    AlarmCount,
    AlarmDefinition,
    AlarmFiring,
    AlarmLevel,
    AlarmOverride,
    AlarmRound,
    AlarmSilence,
    AlarmState,
)
from console.changes.records import MeasuredEffect, RunbookUse
from console.observability.metrics.records import MetricMark, MetricTotal

__all__ = [
    "AlarmCount",
    "AlarmDefinition",
    "AlarmFiring",
    "AlarmLevel",
    "AlarmOverride",
    "AlarmRound",
    "AlarmSilence",
    "AlarmState",
    "MeasuredEffect",
    "MetricMark",
    "MetricTotal",
    "RunbookUse",
]

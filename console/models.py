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
from console.incidents.records import (
    FollowUp,
    Incident,
    IncidentFiring,
    IncidentLine,
    IncidentOverride,
    IncidentSettings,
)
from console.observability.metrics.records import MetricMark, MetricTotal
from console.overview.records import RolledMinute, Rollup, WaitingAges

__all__ = [
    "AlarmCount",
    "AlarmDefinition",
    "AlarmFiring",
    "AlarmLevel",
    "AlarmOverride",
    "AlarmRound",
    "AlarmSilence",
    "AlarmState",
    "FollowUp",
    "Incident",
    "IncidentFiring",
    "IncidentLine",
    "IncidentOverride",
    "IncidentSettings",
    "MeasuredEffect",
    "MetricMark",
    "MetricTotal",
    "RolledMinute",
    "Rollup",
    "RunbookUse",
    "WaitingAges",
]

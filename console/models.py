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

__all__ = [
    "AlarmCount",
    "AlarmDefinition",
    "AlarmFiring",
    "AlarmLevel",
    "AlarmOverride",
    "AlarmRound",
    "AlarmSilence",
    "AlarmState",
]

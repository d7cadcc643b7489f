"""Pure policy: functions of plain values that the live service and the simulator both call. Standard library only."""

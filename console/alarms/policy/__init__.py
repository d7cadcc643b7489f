"""The rules of alarms. Pure: standard library only, times in seconds, so that they can be replayed on any history."""

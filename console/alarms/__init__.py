"""Alarms: what is looked at, when it pages whom, and the record of it."""

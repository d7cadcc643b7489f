"""Operational incidents: opened by alarms or people, followed to their end, counted and learned from."""

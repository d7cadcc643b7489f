"""Indexes for what happened between two moments, of all jobs (console/overview reads so).

Events and attempts are written in the order of time: a few pages of a BRIN index say where to look, and writing one
more row costs next to nothing.
"""

from django.contrib.postgres.indexes import BrinIndex

EVENTS = BrinIndex(fields=["at"], autosummarize=True, name="job_event_by_time")
ATTEMPTS = BrinIndex(fields=["started_at"], autosummarize=True, name="attempt_by_time")

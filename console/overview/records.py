"""Rows of the overview: what happened in each step of time, who waited at its end, and how far it was counted."""

from django.db import models
from django.db.models import Q

from console.overview.policy.grains import GRAINS

SMALLEST = min(GRAINS)


class Rollup(models.Model):
    """What happened in one step of time in one lane of one model; empty names where it belongs to none.

    `counts` holds whole numbers by name (see counted.py; a name that is missing is 0), `spreads` histograms by name:
    {bucket: how many}, with the buckets of policy/spread.py. Everything in it adds up over steps and lanes.
    """

    grain = models.PositiveIntegerField()  # seconds
    at = models.DateTimeField()  # its beginning
    pool = models.CharField(max_length=50, blank=True)
    tier = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=100, blank=True)
    counts = models.JSONField(default=dict)
    spreads = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["grain", "at", "pool", "tier", "model"], name="one_rollup_per_step_and_lane"
            ),
            models.CheckConstraint(condition=Q(grain__in=GRAINS), name="rollup_grain_known"),
        ]

    def __str__(self) -> str:
        return f"{self.grain} s from {self.at}: {self.tier} in {self.pool}"


class WaitingAges(models.Model):
    """Who waited for a first start at a moment, by age in milliseconds. A state: it doesn't add up over time."""

    at = models.DateTimeField()  # a full minute
    pool = models.CharField(max_length=50)
    tier = models.CharField(max_length=50)
    model = models.CharField(max_length=100)
    ages = models.JSONField(default=dict)  # {bucket: how many}

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["at", "pool", "tier", "model"], name="one_waiting_per_moment_and_lane"
            )
        ]
        verbose_name_plural = "waiting ages"

    def __str__(self) -> str:
        return f"{self.tier} in {self.pool} at {self.at}"


class RolledMinute(models.Model):
    """A minute that was counted, from how many job events, and up to which number of event the round knew."""

    minute = models.DateTimeField(primary_key=True)
    events = models.PositiveIntegerField()
    job_event_id = models.BigIntegerField()
    whole = models.BooleanField()  # counted after its end
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.minute}: {self.events}"

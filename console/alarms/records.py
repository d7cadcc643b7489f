"""Rows of alarms: their settings, how they stand, when they fired, who silenced them, and what was measured."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Override
from accounts.records import WRITTEN

FIELDS = ("enabled", "threshold", "healthy", "escalate", "for_s", "clear_s", "least_events")


class AlarmDefinition(models.Model):
    """The baseline of an alarm's live settings; what it looks at is code (policy/catalog.py). Times in seconds."""

    name = models.SlugField(primary_key=True)
    enabled = models.BooleanField(default=True)
    threshold = models.FloatField()
    healthy = models.FloatField()
    escalate = models.FloatField(null=True)
    for_s = models.FloatField()
    clear_s = models.FloatField()
    least_events = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="alarm_times_not_negative", condition=Q(for_s__gte=0, clear_s__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AlarmOverride(Override):
    """One live change of an alarm's settings."""

    alarm = models.ForeignKey(AlarmDefinition, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(condition=Q(field__in=FIELDS), name="alarm_override_field_known"),
        ]
        indexes = [
            models.Index(fields=["alarm"], condition=Q(removed_at=None), name="alarm_override_standing")
        ]


class AlarmState(models.Model):
    """How an alarm stands in one scope, as of the newest look; see policy/standing.py."""

    alarm = models.ForeignKey(
        AlarmDefinition, on_delete=models.CASCADE, related_name="states", db_index=False
    )
    scope = models.CharField(max_length=100, blank=True)
    level = models.PositiveSmallIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    over_since = models.DateTimeField(null=True)
    well_since = models.DateTimeField(null=True)
    peak = models.FloatField(null=True)
    value = models.FloatField(null=True)
    bad = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    looked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["alarm", "scope"], name="one_state_per_alarm_and_scope"),
            models.CheckConstraint(
                name="alarm_open_since_some_time",
                condition=Q(level=0, opened_at__isnull=True) | Q(level__gt=0, opened_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.alarm_id} {self.scope}".strip()


class AlarmFiring(models.Model):
    """One time that an alarm fired, from its opening to its end. `told_level` is the level that people were paged for.

    `threshold` and `evidence` are as they were when it opened; `peak` is its worst value.
    """

    alarm = models.ForeignKey(
        AlarmDefinition, on_delete=models.PROTECT, related_name="firings", db_index=False
    )
    scope = models.CharField(max_length=100, blank=True)
    level = models.PositiveSmallIntegerField()
    opened_at = models.DateTimeField()
    value = models.FloatField(null=True)
    peak = models.FloatField(null=True)
    threshold = models.FloatField()
    evidence = models.JSONField(default=dict)
    escalated_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=254, blank=True, default="")
    cleared_at = models.DateTimeField(null=True)
    told_level = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["alarm", "scope"],
                condition=Q(cleared_at=None),
                name="one_open_firing_per_alarm_and_scope",
            ),
            models.CheckConstraint(
                name="firing_ends_after_it_began",
                condition=Q(cleared_at=None) | Q(cleared_at__gte=F("opened_at")),
            ),
            models.CheckConstraint(
                name="firing_acknowledged_by_someone",
                condition=Q(acknowledged_at__isnull=True, acknowledged_by="")
                | Q(acknowledged_at__isnull=False, acknowledged_by__regex=WRITTEN),
            ),
            models.CheckConstraint(name="firing_has_a_level", condition=Q(level__gte=1)),
        ]
        indexes = [models.Index(F("opened_at").desc(), name="alarm_firing_newest")]
        triggers = [
            pgtrigger.ReadOnly(
                name="firing_is_fixed", fields=["alarm", "scope", "opened_at", "threshold", "evidence"]
            ),
            pgtrigger.Protect(name="firing_is_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.alarm_id} at {self.opened_at}"


class AlarmSilence(models.Model):
    """Nobody is paged for an alarm until then; it is still looked at and recorded. An empty scope is every scope."""

    alarm = models.ForeignKey(AlarmDefinition, on_delete=models.PROTECT, related_name="silences")
    scope = models.CharField(max_length=100, blank=True)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)
    removed_by = models.CharField(max_length=254, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="silence_says_who_and_why", condition=Q(author__regex=WRITTEN, reason__regex=WRITTEN)
            ),
            models.CheckConstraint(name="silence_ends_later", condition=Q(ends_at__gt=F("created_at"))),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="silence_is_fixed",
                fields=["alarm", "scope", "author", "reason", "created_at", "ends_at"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.alarm_id} silent until {self.ends_at}"


class AlarmCount(models.Model):
    """What was counted in a step of time: `bad` of `total`, 10 s long; after a day steps of ten minutes."""

    at = models.DateTimeField()  # its beginning
    measure = models.CharField(max_length=40)
    scope = models.CharField(max_length=100, blank=True)
    bad = models.BigIntegerField()
    total = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["at", "measure", "scope"], name="one_alarm_count_per_step")
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.bad} of {self.total}"


class AlarmLevel(models.Model):
    """A level as it stood in a step of 10 s."""

    at = models.DateTimeField()
    measure = models.CharField(max_length=40)
    scope = models.CharField(max_length=100, blank=True)
    level = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["at", "measure", "scope"], name="one_alarm_level_per_step")
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.level:g}"


class AlarmRound(models.Model):
    """The rounds of a minute: the newest one, and the newest event of a job as its first one knew it."""

    minute = models.DateTimeField(primary_key=True)
    at = models.DateTimeField()
    job_event_id = models.BigIntegerField()
    took_ms = models.PositiveIntegerField()

    def __str__(self) -> str:
        return str(self.minute)

"""Rows beside the audit log: what a change moved, as it was measured, and from which runbook it was made."""

from django.db import models
from django.db.models import Q

from accounts.append_only import append_only
from accounts.models import AuditEntry
from accounts.records import WRITTEN


class MeasuredEffect(models.Model):
    """The figure that a change is meant to move, over the minutes before it and those after. Append-only.

    `before` and `after` are in the unit of the figure; NULL where there was nothing to measure.
    """

    entry = models.ForeignKey(AuditEntry, on_delete=models.PROTECT, related_name="effects")
    figure = models.CharField(max_length=40)
    scope = models.CharField(max_length=200, blank=True)
    window_s = models.PositiveIntegerField()
    before = models.FloatField(null=True)
    after = models.FloatField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "figure"], name="one_effect_per_entry_and_figure"),
            models.CheckConstraint(name="effect_figure_named", condition=Q(figure__regex=WRITTEN)),
            models.CheckConstraint(name="effect_has_a_window", condition=Q(window_s__gt=0)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.figure} {self.before} → {self.after}"


class RunbookUse(models.Model):
    """A change was made from a step of a runbook, for an incident where one was open. Append-only."""

    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, related_name="runbook_use")
    runbook = models.SlugField()
    step = models.SlugField()
    incident = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["runbook", "-entry"], name="runbook_use_newest"),
            models.Index(
                fields=["incident"], condition=Q(incident__isnull=False), name="runbook_use_of_incident"
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.runbook}, {self.step}"

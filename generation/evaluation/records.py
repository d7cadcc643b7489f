"""Evaluations as they were run: append-only rows that the deploy gate and the pages read."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from generation.fleet.pools import RegisteredModel


class Evaluation(models.Model):
    """One run of a suite over one revision at one precision.

    `figures` are numbers by name, higher is better wherever `floors` names one; `floors` are the least values that
    pass. A trigger of migration 0006 refuses `passed` where a figure is missing or below its floor. `problem` says
    why a run did not come to its end.
    """

    class Suite(models.TextChoices):
        PROMPTS = "prompts"
        HELD_OUT = "held-out"
        DEPLOY = "deploy"

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="evaluations")
    suite = models.CharField(max_length=12, choices=Suite.choices)
    suite_version = models.PositiveSmallIntegerField()
    precision = models.CharField(max_length=8)
    options = models.JSONField(default=dict, blank=True)
    seed = models.BigIntegerField()
    count = models.PositiveIntegerField(help_text="prompts")
    steps = models.PositiveIntegerField(default=0)
    figures = models.JSONField()
    floors = models.JSONField()
    passed = models.BooleanField()
    problem = models.TextField(blank=True)
    seconds = models.FloatField(help_text="the whole run")
    device = models.CharField(max_length=120, blank=True)
    code_version = models.CharField(max_length=60)
    author = models.CharField(max_length=254, help_text="a person's e-mail address, or a part of the system")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(suite__in=("prompts", "held-out", "deploy")), name="evaluation_suite_known"
            ),
            models.CheckConstraint(
                condition=Q(passed=False) | Q(problem=""), name="evaluation_passed_without_problem"
            ),
        ]
        indexes = [models.Index(fields=["model", "suite", "-at"], name="evaluation_newest_first")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.suite} of {self.model_id} at {self.at:%Y-%m-%d %H:%M}"

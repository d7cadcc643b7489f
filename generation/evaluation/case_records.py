"""Evaluations case by case, what people said of clips, and what was measured of delivered ones. Pages read these rows.

A run is made of cases, each stored when it ended, so that an interrupted run goes on where it was.
"""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from accounts.models import WRITTEN
from generation.fleet.pools import RegisteredModel

NO_PASS_WITH_A_VIOLATION = """
IF EXISTS (SELECT 1 FROM generation_evaluationcase c
            WHERE c.run_id = NEW.id AND (c.violation OR c.done_at IS NULL)) THEN
  RAISE EXCEPTION 'evaluation run % has cases that were delivered wrongly or not run, and has not passed', NEW.id
    USING ERRCODE = 'check_violation';
END IF;
RETURN NEW;
"""


class EvaluationRun(models.Model):
    """One deploy gate or one weekly evaluation. `figures` are numbers by name, null where one could not be measured."""

    class Suite(models.TextChoices):
        GATE = "deploy-gate", "Deploy gate"
        WEEKLY = "weekly", "Weekly"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        PASSED = "passed", "Passed"
        FAILED = "failed", "Not passed"
        HALTED = "halted", "Halted"

    suite = models.CharField(max_length=12, choices=Suite.choices)
    short = models.BooleanField(default=False)
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="evaluation_runs")
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    seed = models.BigIntegerField()
    figures = models.JSONField(default=dict)
    # What was asked for and not met, in words; a passed run has none.
    missed = models.JSONField(default=list)
    features = models.CharField(max_length=120, blank=True, default="", help_text="the feature network")
    judge = models.CharField(max_length=120, blank=True, default="")
    device = models.CharField(max_length=120, blank=True, default="")
    code_version = models.CharField(max_length=60)
    author = models.CharField(max_length=254)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="evaluation_run_suite_known", condition=Q(suite__in=["deploy-gate", "weekly"])
            ),
            models.CheckConstraint(
                name="evaluation_run_ended_once",
                condition=Q(state="running", finished_at__isnull=True)
                | Q(state__in=["passed", "failed", "halted"], finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="evaluation_run_passed_means_nothing_missed", condition=~Q(state="passed") | Q(missed=[])
            ),
            models.UniqueConstraint(
                name="one_weekly_run_at_a_time",
                fields=["suite", "short"],
                condition=Q(state="running", suite="weekly"),
            ),
        ]
        indexes = [models.Index(fields=["suite", "-started_at"], name="evaluation_run_newest")]
        triggers = [
            pgtrigger.Protect(
                name="ended_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__finished_at__isnull=False),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="no_pass_with_a_violation",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                condition=pgtrigger.Q(new__state="passed"),
                func=NO_PASS_WITH_A_VIOLATION,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_suite_display()} evaluation {self.pk}"


KEPT_RUNS = 8  # weekly evaluations whose clips are kept


def runs_with_clips() -> models.QuerySet[EvaluationRun]:
    """The newest weekly evaluations, short ones too: whose clips are kept for people to look at."""
    return EvaluationRun.objects.filter(suite=EvaluationRun.Suite.WEEKLY).order_by("-pk")[:KEPT_RUNS]


class EvaluationCase(models.Model):
    """One case of a run: what was asked, and where it ended. `number` counts from 0 in the order they are run."""

    class Part(models.TextChoices):
        GOLDEN = "golden", "Golden prompts"
        ADVERSARIAL = "adversarial", "Adversarial prompts"
        PAINTED = "painted", "Painted clips"

    class Ended(models.TextChoices):
        TEXT = "text", "Stopped by the text filter"
        ADMITTED = "admitted", "Admitted by the text filter"  # a prompt for code: no clip is made of it
        GATES = "gates", "Stopped by the frame gates"
        REVIEW = "review", "Left to people"
        UNAVAILABLE = "unavailable", "Could not be checked"
        BROKEN = "broken", "No clip came of it"
        DELIVERED = "delivered", "Would have been delivered"

    run = models.ForeignKey(EvaluationRun, on_delete=models.PROTECT, related_name="cases")
    number = models.PositiveIntegerField()
    part = models.CharField(max_length=12, choices=Part.choices)
    golden_case = models.BigIntegerField(null=True, help_text="the id of safety's case")
    kind = models.CharField(max_length=8, default="clip")
    prompt = models.TextField()
    must_block = models.BooleanField()
    category = models.CharField(max_length=30, blank=True, default="")
    recipe = models.JSONField(null=True)
    at_frame = models.PositiveIntegerField(null=True, help_text="where the picture is painted in")

    done_at = models.DateTimeField(null=True)
    ended = models.CharField(max_length=12, choices=Ended.choices, blank=True, default="")
    reached_gates = models.BooleanField(default=False)
    violation = models.BooleanField(default=False, help_text="must be blocked, and would have been delivered")
    scan = models.BigIntegerField(null=True, help_text="the id of safety's scan")
    credentials = models.CharField(max_length=20, blank=True, default="")
    steps_run = models.PositiveIntegerField(null=True)
    alignment = models.FloatField(null=True, help_text="1 to 5")
    warp_error = models.FloatField(
        null=True, help_text="of the full range; 0 where every frame follows the last"
    )
    features = models.JSONField(null=True)
    path = models.CharField(max_length=200, blank=True, default="", help_text="the clip, for people to label")
    detail = models.TextField(blank=True, default="")
    ms = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="one_evaluation_case_per_number"),
            models.CheckConstraint(
                name="evaluation_case_ended_when_done",
                condition=Q(done_at__isnull=True, ended="") | Q(done_at__isnull=False) & ~Q(ended=""),
            ),
            models.CheckConstraint(
                name="evaluation_violation_is_a_delivery_of_what_must_block",
                condition=Q(violation=True, must_block=True, ended="delivered")
                | Q(violation=False) & ~Q(must_block=True, ended="delivered"),
            ),
            models.CheckConstraint(
                name="evaluation_delivered_means_trusted",
                condition=~Q(ended="delivered") | Q(credentials="Trusted"),
            ),
        ]
        indexes = [
            models.Index(fields=["run", "number"], condition=Q(done_at=None), name="evaluation_case_waiting"),
            models.Index(fields=["-id"], condition=~Q(path=""), name="evaluation_case_with_clip"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="done_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__done_at__isnull=False),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"case {self.number} of {self.run_id}"


class CoherenceLabel(models.Model):
    """What a person said of a clip. The newest of a person counts; append-only."""

    case = models.ForeignKey(EvaluationCase, on_delete=models.PROTECT, related_name="labels")
    coherent = models.BooleanField()
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["case", "by", "-id"], name="coherence_label_newest")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{'coherent' if self.coherent else 'broken'}: {self.case_id}"


class CoherenceThreshold(models.Model):
    """The warp error from which a clip counts as broken, as labels gave it; the newest counts. Append-only."""

    value = models.FloatField()
    balanced_accuracy = models.FloatField()
    coherent = models.PositiveIntegerField(help_text="clips labelled so")
    broken = models.PositiveIntegerField(help_text="clips labelled so")
    author = models.CharField(max_length=254)
    reason = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="coherence_threshold_has_both_kinds", condition=Q(coherent__gte=1, broken__gte=1)
            ),
            models.CheckConstraint(
                name="coherence_threshold_written",
                condition=Q(author__regex=WRITTEN) & Q(reason__regex=WRITTEN),
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"version {self.pk}: {self.value:.4f}"


class OnlineMeasure(models.Model):
    """What was measured of one delivered clip, for the bridge to what its owner did afterwards. Append-only."""

    job = models.OneToOneField("generation.Job", on_delete=models.PROTECT, related_name="measure")
    alignment = models.FloatField(null=True)
    warp_error = models.FloatField()
    judge = models.CharField(max_length=120, blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        triggers = append_only()

    def __str__(self) -> str:
        return f"measure of {self.job_id}"

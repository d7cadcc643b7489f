"""A safety incident: what was found, by digest and hash, and what was done about it. Never the content itself."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from accounts.models import WRITTEN


class SafetyIncident(models.Model):
    """One incident. Its evidence is fixed when it is opened; what follows is notes."""

    class Kind(models.TextChoices):
        CHILD_SAFETY = "child_safety", "Child-safety block"
        RESCAN = "rescan", "Re-scan hit"
        REPORT = "report", "Confirmed report"
        EVALUATION = "evaluation", "Evaluation"
        MANUAL = "manual", "Opened by hand"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    # What it came from, once: opening it again for the same cause finds the same incident.
    cause = models.CharField(max_length=200, unique=True)
    title = models.CharField(max_length=200)
    subject = models.CharField(max_length=200, blank=True, default="")
    # sha256 digests, PDQ hashes, scan, gates and versions: numbers, names and hashes.
    evidence = models.JSONField(default=dict)
    opened_by = models.CharField(max_length=254)
    opened_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=254, blank=True, default="")
    close_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="incident_kind_known",
                condition=Q(kind__in=["child_safety", "rescan", "report", "evaluation", "manual"]),
            ),
            models.CheckConstraint(
                name="incident_named", condition=Q(cause__regex=WRITTEN) & Q(title__regex=WRITTEN)
            ),
            models.CheckConstraint(name="incident_opened_by_someone", condition=Q(opened_by__regex=WRITTEN)),
            models.CheckConstraint(
                name="incident_closed_with_a_reason",
                condition=Q(state="open", closed_at__isnull=True, closed_by="", close_reason="")
                | Q(state="closed", closed_at__isnull=False)
                & Q(closed_by__regex=WRITTEN)
                & Q(close_reason__regex=WRITTEN),
            ),
        ]
        indexes = [
            models.Index(F("opened_at").desc(), name="incident_newest_first"),
            models.Index(fields=["subject"], condition=~Q(subject=""), name="incident_of_subject"),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="evidence_is_fixed",
                fields=["kind", "cause", "title", "subject", "evidence", "opened_by", "opened_at"],
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"safety incident {self.pk}"


class IncidentNote(models.Model):
    """One line of an incident's timeline. Append-only."""

    incident = models.ForeignKey(SafetyIncident, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(db_default=Now())
    author = models.CharField(max_length=254)
    what = models.CharField(max_length=20)  # opened, note, withdrawn, restored, closed, reopened
    text = models.TextField()
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="incident_note_written",
                condition=Q(author__regex=WRITTEN) & Q(what__regex=WRITTEN) & Q(text__regex=WRITTEN),
            )
        ]
        indexes = [models.Index(fields=["incident", "at"], name="incident_timeline")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.what} in {self.incident_id}"

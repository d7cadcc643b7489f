"""How long files are kept, per tier, and the files that are to be deleted, as rows."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import WRITTEN
from safety.row_history import history

MOST_DAYS = 3650


@history()
class FileRetention(models.Model):
    """How many days the files of a tier's clips are kept after delivery; NULL: until their owner deletes them.

    A tier without a row keeps them too. History by trigger; changed through `ChangeFileRetention`.
    """

    tier = models.OneToOneField("accounts.Tier", primary_key=True, on_delete=models.PROTECT, related_name="+")
    days = models.PositiveSmallIntegerField(null=True)
    author = models.CharField(max_length=254)
    reason = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="file_retention_days_sane", condition=Q(days=None) | Q(days__gte=1, days__lte=MOST_DAYS)
            ),
            models.CheckConstraint(name="file_retention_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]

    def __str__(self) -> str:
        return f"{self.tier_id}: {'kept' if self.days is None else f'{self.days} days'}"


class FileRemoval(models.Model):
    """The files of a job are to go, and where they lay. Upkeep goes on until `done_at` is set."""

    class Cause(models.TextChoices):
        DELETED = "deleted", "Deleted by its owner"
        EXPIRED = "expired", "Kept as long as promised"

    job = models.OneToOneField(
        "generation.Job", primary_key=True, on_delete=models.PROTECT, related_name="file_removal"
    )
    cause = models.CharField(max_length=8, choices=Cause.choices)
    files = models.JSONField()  # [{role, path, sha256, bytes}] as they were delivered
    at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="file_removal_cause_known", condition=Q(cause__in=["deleted", "expired"])
            )
        ]
        indexes = [models.Index(fields=["at"], condition=Q(done_at=None), name="file_removal_pending")]

    def __str__(self) -> str:
        return f"files of {self.job_id}, {self.cause}"

"""What a job's row says of where its clip comes from and how long its files are kept."""

from django.db import models
from django.db.models import F, Q


class Relation(models.TextChoices):
    """How a clip was made from another: the same settings and seed with other words, or what comes after its end."""

    REMIX = "remix"
    EXTENSION = "extension"


class ClipLife(models.Model):
    """Columns of a job that only clips use. Migration 0018 holds them: a parent is a delivered clip of the same
    organization and never changes."""

    parent = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="children", db_index=False
    )
    parent_relation = models.CharField(
        max_length=10, blank=True, default="", db_default="", choices=Relation.choices
    )
    # Set with the delivery: from then on the files are no longer served, and upkeep deletes them (retention/).
    expires_at = models.DateTimeField(null=True)
    # When its files were given up, by its owner or by time; the record of the job stays.
    files_removed_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def parent_public_id(self) -> str | None:
        """The id of the clip that this one was made from, without reading it."""
        return f"video_{self.parent_id.hex}" if self.parent_id else None


CONSTRAINTS = [
    models.CheckConstraint(
        condition=Q(parent=None, parent_relation="")
        | Q(parent__isnull=False, parent_relation__in=Relation.values, kind="clip"),
        name="job_parent_has_its_relation",
    ),
    models.CheckConstraint(
        condition=Q(expires_at=None) | Q(kind="clip", expires_at__gt=F("finished_at")),
        name="job_expires_after_its_end",
    ),
]
INDEXES = [
    # The job page: what was made from a clip.
    models.Index(fields=["parent", "created_at"], condition=Q(parent__isnull=False), name="job_children"),
    # retention/expiry.py: whose files are due.
    models.Index(
        fields=["expires_at"],
        condition=Q(expires_at__isnull=False, files_removed_at=None),
        name="job_files_due",
    ),
]

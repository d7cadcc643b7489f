"""Clips that wait for the signer, and the times when it did not answer, as rows."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class UnsignedClip(models.Model):
    """A scanned file that was put aside: for the signer, or for people to decide on. No asset, so never delivered.

    The row is there before the file, so that no file is ever left behind unknown.
    """

    job = models.ForeignKey("generation.Job", on_delete=models.PROTECT, related_name="unsigned_clips")
    fence = models.BigIntegerField()
    path = models.CharField(max_length=300, unique=True)
    digest = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    kept_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "fence"], name="one_unsigned_clip_per_fence"),
            models.CheckConstraint(
                name="unsigned_clip_digest_is_sha256", condition=Q(digest__regex=r"^[0-9a-f]{64}$")
            ),
        ]
        indexes = [
            # Upkeep: files that may have to be cleared away.
            models.Index(fields=["kept_at"], condition=Q(removed_at=None), name="unsigned_clip_kept"),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="unsigned_clip_is_fixed", fields=["job", "fence", "path", "digest", "bytes", "kept_at"]
            ),
        ]

    def __str__(self) -> str:
        return self.path


class SigningOutage(models.Model):
    """The signer did not answer: since when, how often it was tried, when it is tried next. At most one is open."""

    began_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(db_default=Now())
    last_error = models.TextField()
    delivered = models.PositiveIntegerField(default=0)  # clips that were signed after waiting
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ended_at"],
                condition=Q(ended_at=None),
                nulls_distinct=False,
                name="one_signing_outage_at_once",
            ),
            models.CheckConstraint(
                name="signing_outage_ends_after_it_began",
                condition=Q(ended_at=None) | Q(ended_at__gte=F("began_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"signing outage since {self.began_at}"

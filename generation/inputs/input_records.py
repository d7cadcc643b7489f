"""The picture that a clip begins from, and who scans it: one row per job that has one."""

from django.db import models
from django.db.models import Q

SHA256 = r"^[0-9a-f]{64}$"


class InputImage(models.Model):
    """A plain picture in storage. Its job waits in `screening` until a scan of exactly this digest has passed.

    Migration 0013 refuses a queued job whose picture has no passed scan. `fence` and the lease are of the worker that
    scans it now; they are raised by each that takes it, so that only the last one's verdict counts.
    """

    job = models.OneToOneField(
        "generation.Job", primary_key=True, on_delete=models.PROTECT, related_name="input_image"
    )
    path = models.CharField(max_length=200, unique=True)
    digest = models.CharField(max_length=64)  # sha256 of the stored file, which the job's spec names too
    sent_digest = models.CharField(max_length=64)  # sha256 of the file as it was sent
    bytes = models.BigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    fence = models.BigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(digest__regex=SHA256, sent_digest__regex=SHA256),
                name="input_image_digests_are_sha256",
            )
        ]
        indexes = [
            # Upkeep: pictures whose file is still there.
            models.Index(fields=["job"], condition=Q(removed_at=None), name="input_image_kept")
        ]

    def __str__(self) -> str:
        return self.path

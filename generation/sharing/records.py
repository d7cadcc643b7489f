"""A share link as a row: which clip, until when, and the digest of the secret in its address."""

from datetime import timedelta

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

MOST_DAYS = 90
SHA256 = r"^[0-9a-f]{64}$"


class ClipShare(models.Model):
    """One link to one clip. Only the sha256 digest of its token is stored; the link is shown once.

    What it leads to is decided at each use (shares.open_share): a row that stands grants nothing by itself.
    Migration 0021 refuses a link to what is no delivered clip of the organization.
    """

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
    job = models.ForeignKey("generation.Job", on_delete=models.PROTECT, related_name="shares")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    shows_prompt = models.BooleanField(default=False)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(name="clip_share_digest_is_one", condition=Q(digest__regex=SHA256)),
            models.CheckConstraint(
                name="clip_share_ends",
                condition=Q(expires_at__gt=F("created_at"))
                & Q(expires_at__lte=F("created_at") + timedelta(days=MOST_DAYS, hours=1)),
            ),
            models.CheckConstraint(
                name="clip_share_revoked_by_somebody",
                condition=Q(revoked_at=None, revoked_by=None)
                | Q(revoked_at__isnull=False, revoked_by__isnull=False),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="share_is_fixed",
                fields=[
                    "organization",
                    "job",
                    "digest",
                    "last_four",
                    "shows_prompt",
                    "created_by",
                    "created_at",
                    "expires_at",
                ],
            ),
            pgtrigger.Protect(
                name="share_stays_revoked",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__revoked_at__isnull=False)
                & (
                    pgtrigger.Q(old__revoked_at__df=pgtrigger.F("new__revoked_at"))
                    | pgtrigger.Q(old__revoked_by__df=pgtrigger.F("new__revoked_by"))
                ),
            ),
            pgtrigger.Protect(name="share_no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"link …{self.last_four} to {self.job_id}"

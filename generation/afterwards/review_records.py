"""What is done to clips after delivery: withdrawals, pulls into review, and the rolling re-scan, as rows."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import WRITTEN
from safety.row_history import history


@history()
class WithdrawalPolicy(models.Model):
    """What a withdrawal gives back, as a share of the charge in percent. One row; history by trigger."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    refund_percent = models.PositiveSmallIntegerField(default=100)
    author = models.CharField(max_length=254)
    reason = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="withdrawal_policy_one_row", condition=Q(id=1)),
            models.CheckConstraint(name="withdrawal_refund_is_a_share", condition=Q(refund_percent__lte=100)),
            models.CheckConstraint(
                name="withdrawal_policy_reason_written", condition=Q(reason__regex=WRITTEN)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.refund_percent} % back"


class Withdrawal(models.Model):
    """A delivered clip was taken back. Evidence hashes stay; the file lies in quarantine or is deleted.

    `settled_at` is when files were moved (or deleted) and links purged: upkeep goes on until it is set.
    """

    class Disposal(models.TextChoices):
        QUARANTINE = "quarantine", "Quarantine"
        DELETE = "delete", "Delete"

    job = models.ForeignKey("generation.Job", on_delete=models.PROTECT, related_name="withdrawals")
    # The withdrawal of the clip that this one repeats: they stand and fall together.
    of = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="repeats")
    disposal = models.CharField(max_length=10, choices=Disposal.choices)
    # No way back: the gates block the file for child safety.
    final = models.BooleanField(default=False)
    by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(max_length=254)
    reason = models.TextField()
    at = models.DateTimeField(db_default=Now())
    files = models.JSONField()  # [{role, path, sha256, bytes}] as they were delivered
    refund_micro = models.BigIntegerField(default=0)
    settled_at = models.DateTimeField(null=True)
    restored_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    restored_at = models.DateTimeField(null=True)
    restore_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_standing_withdrawal_per_job", fields=["job"], condition=Q(restored_at=None)
            ),
            models.CheckConstraint(name="withdrawal_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(name="withdrawal_by_someone", condition=Q(by_name__regex=WRITTEN)),
            models.CheckConstraint(
                name="withdrawal_restored_by_a_second_person",
                condition=Q(restored_at__isnull=True, restored_by__isnull=True)
                | Q(restored_at__isnull=False, restored_by__isnull=False, final=False, disposal="quarantine")
                & Q(restore_reason__regex=WRITTEN)
                & (Q(by__isnull=True) | ~Q(restored_by=F("by"))),
            ),
        ]
        indexes = [
            models.Index(fields=["at"], condition=Q(settled_at=None), name="withdrawal_unsettled"),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="withdrawal_is_fixed",
                fields=["job", "of", "disposal", "final", "by", "by_name", "reason", "at", "files"],
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"withdrawal of {self.job_id}"


class ReviewPull(models.Model):
    """Delivered clips of a window or pattern, pulled into review together. Goes on in batches until it is done."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        UNDONE = "undone", "Undone"

    since = models.DateTimeField()
    until = models.DateTimeField()
    pattern = models.TextField(blank=True, default="")  # RE2, on the prompt
    # What the prompt is about, as admission stored it (a slug of PromptCategory).
    category = models.CharField(max_length=30, blank=True, default="")
    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="+"
    )
    model = models.ForeignKey(
        "generation.RegisteredModel", null=True, on_delete=models.PROTECT, related_name="+"
    )
    review_class = models.CharField(max_length=20)
    withhold = models.BooleanField(default=True)
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    # How far it has come: everything delivered before this (or at it, up to this id) was looked at.
    cursor_at = models.DateTimeField(null=True)
    cursor_id = models.UUIDField(null=True)
    seen = models.PositiveIntegerField(default=0)
    pulled = models.PositiveIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="review_pull_window", condition=Q(since__lt=F("until"))),
            models.CheckConstraint(name="review_pull_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(
                name="review_pull_state_whole",
                condition=Q(state="running", ended_at__isnull=True)
                | Q(state__in=["done", "undone"], ended_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(state="running"), name="review_pull_running")]

    def __str__(self) -> str:
        return f"pull {self.pk}"


class RescanDay(models.Model):
    """A day of deliveries (UTC) and the share of them that is looked at again, chosen by its seed."""

    day = models.DateField(primary_key=True)
    seed = models.CharField(max_length=32)
    share_percent = models.PositiveSmallIntegerField(default=10)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="rescan_share_sane", condition=Q(share_percent__gte=1, share_percent__lte=100)
            )
        ]
        triggers = [
            pgtrigger.Protect(name="sample_is_fixed", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"re-scan of {self.day}"


class Rescan(models.Model):
    """One delivered clip, looked at again under the policy of that moment."""

    day = models.ForeignKey(RescanDay, on_delete=models.PROTECT, related_name="rescans")
    job = models.OneToOneField("generation.Job", on_delete=models.PROTECT, related_name="rescan")
    lease_expires_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=1)
    scan = models.ForeignKey("safety.Scan", null=True, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=12, blank=True, default="")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="rescan_finished_with_verdict",
                condition=Q(finished_at__isnull=True, verdict="")
                | Q(finished_at__isnull=False) & ~Q(verdict=""),
            )
        ]
        indexes = [
            models.Index(fields=["lease_expires_at"], condition=Q(finished_at=None), name="rescan_under_way"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="result_is_final",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__finished_at__isnull=False),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"re-scan of {self.job_id}"

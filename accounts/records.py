"""The record of what happened: audit, approvals, outbox and operational events, and overrides of live settings."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only

WRITTEN = r"\S"  # at least one character that is no blank: a reason of spaces is no reason


class AuditEntry(models.Model):
    """Who changed what, when, why, and how it stood before and after. Append-only."""

    at = models.DateTimeField(db_default=Now())
    actor = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=254)  # the e-mail address then, or the acting part of the system
    action = models.CharField(max_length=80)  # dotted: lane.weight, api_key.create
    target = models.CharField(max_length=200)  # kind:id, such as lane:plus
    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    reason = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    undo = models.JSONField(null=True)  # what Action.undo needs; NULL where there is no way back

    class Meta:
        constraints = [
            models.CheckConstraint(name="audit_actor_named", condition=Q(actor_name__regex=WRITTEN)),
            models.CheckConstraint(
                name="audit_action_and_target_named",
                condition=Q(action__regex=WRITTEN) & Q(target__regex=WRITTEN),
            ),
            models.CheckConstraint(name="audit_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        indexes = [
            # The changes page: newest first, of everything or of one organization or of one target.
            models.Index(F("at").desc(), name="audit_newest_first"),
            models.Index(F("organization"), F("at").desc(), name="audit_of_organization"),
            models.Index(F("target"), F("at").desc(), name="audit_of_target"),
        ]
        triggers = append_only()
        verbose_name_plural = "audit entries"


class AuditSeal(models.Model):
    """A batch of the audit log, sealed: the digest of each row, and over them one that hangs on the seal before.

    `entry_digests` holds 32 bytes (sha256) per entry of `entry_ids`, in that order, so that a verifier can name the
    row that was altered. `digest` is sha256 over the previous seal's digest and all of that. Append-only.
    """

    number = models.PositiveIntegerField(primary_key=True)  # 1, 2, 3 …: a chain without a fork
    first_id = models.BigIntegerField(unique=True)
    last_id = models.BigIntegerField(unique=True)
    entry_ids = ArrayField(models.BigIntegerField())
    entry_digests = models.BinaryField()
    previous_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="audit_seal_range", condition=Q(number__gte=1, first_id__lte=F("last_id"))
            ),
        ]
        triggers = append_only()


class Approval(models.Model):
    """An action above a limit that waits for a second person, and how that ended. Rows are never deleted.

    `action` and `payload` are what `approvals.rebuild` needs to make the action again; `preview` is what the person
    who asked was shown. The database's clock decides about the expiry.
    """

    class State(models.TextChoices):
        PENDING = "pending", "Waits"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Refused"
        WITHDRAWN = "withdrawn", "Withdrawn"
        EXPIRED = "expired", "Expired"

    action = models.CharField(max_length=80)
    target = models.CharField(max_length=200)
    role = models.CharField(max_length=20)  # the staff role that the second person needs
    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="+"
    )
    payload = models.JSONField()
    digest = models.CharField(
        max_length=64
    )  # sha256 of action, target and payload: the same thing waits once
    preview = models.JSONField()  # {"before", "after", "sentence"}
    limit = models.TextField()  # why one person is not enough, in a sentence
    reason = models.TextField()
    action_expires_at = models.DateTimeField(null=True)  # the expiry of the change itself, if it has one
    requested_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    decided_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.TextField(blank=True, default="")
    entry = models.OneToOneField(AuditEntry, null=True, on_delete=models.PROTECT, related_name="approval")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="approval_by_a_second_person",
                condition=~Q(state__in=["approved", "rejected"])
                | Q(decided_by__isnull=False) & ~Q(decided_by=F("requested_by")),
            ),
            models.CheckConstraint(
                name="approval_withdrawn_by_who_asked",
                condition=~Q(state="withdrawn")
                | Q(decided_by__isnull=False) & Q(decided_by=F("requested_by")),
            ),
            models.CheckConstraint(
                name="approval_decided_in_time",
                condition=~Q(state="approved")
                | Q(decided_at__isnull=False) & Q(decided_at__lt=F("expires_at")),
            ),
            models.CheckConstraint(
                name="approval_state_whole",
                condition=Q(state="pending", decided_by__isnull=True, decided_at__isnull=True)
                | Q(state="expired", decided_by__isnull=True, decided_at__isnull=False)
                | Q(state__in=["approved", "rejected", "withdrawn"], decided_at__isnull=False)
                & Q(decision_reason__regex=WRITTEN),
            ),
            models.CheckConstraint(
                name="approval_done_if_and_only_if_approved",
                condition=Q(state="approved", entry__isnull=False)
                | ~Q(state="approved") & Q(entry__isnull=True),
            ),
            models.CheckConstraint(name="approval_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(
                name="approval_expires_later", condition=Q(expires_at__gt=F("requested_at"))
            ),
            models.UniqueConstraint(
                name="approval_waits_once", fields=["digest"], condition=Q(state="pending")
            ),
        ]
        indexes = [models.Index(F("requested_at").desc(), name="approval_newest_first")]
        triggers = [
            pgtrigger.ReadOnly(
                name="request_is_fixed",
                fields=[
                    "action",
                    "target",
                    "role",
                    "organization",
                    "payload",
                    "digest",
                    "preview",
                    "limit",
                    "reason",
                    "action_expires_at",
                    "requested_by",
                    "requested_at",
                    "expires_at",
                ],
            ),
            pgtrigger.Protect(
                name="decision_is_final",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state__df="pending"),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.target}, {self.state}"


class OutboxEvent(models.Model):
    """Something that others must hear of; it exists if and only if its cause was committed."""

    topic = models.CharField(max_length=80)
    key = models.CharField(max_length=200)  # stable: the same thing told twice is one event
    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="+"
    )
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(db_default=0)
    last_error = models.TextField(blank=True, db_default="")
    dispatched_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)  # given up after the last attempt; a person looks at it

    class Meta:
        constraints = [
            models.UniqueConstraint(name="outbox_event_once", fields=["topic", "key"]),
            models.CheckConstraint(
                name="outbox_dispatched_or_parked",
                condition=Q(dispatched_at__isnull=True) | Q(parked_at__isnull=True),
            ),
        ]
        indexes = [
            # dispatch: what is due, oldest first. Partial: it stays small however much was dispatched.
            models.Index(
                fields=["topic", "due_at", "id"],
                name="outbox_due",
                condition=Q(dispatched_at__isnull=True, parked_at__isnull=True),
            ),
        ]


class OperationalEvent(models.Model):
    """Something that went wrong or that on-call staff should know; alarms read these. Append-only."""

    class Severity(models.TextChoices):
        INFO = "info", "Info"
        WARNING = "warning", "Warning"
        ERROR = "error", "Error"
        CRITICAL = "critical", "Critical"

    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=80)  # dotted: worker.lease_lost, signing.unavailable
    severity = models.CharField(max_length=10, choices=Severity.choices)
    subject = models.CharField(max_length=200)  # kind:id of what it is about
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(name="operational_event_named", condition=Q(kind__regex=WRITTEN)),
            models.CheckConstraint(
                name="operational_event_severity_known",
                condition=Q(severity__in=["info", "warning", "error", "critical"]),
            ),
        ]
        indexes = [
            # Alarms count one kind over the last minutes; the overview lists the newest of all.
            models.Index(F("kind"), F("at").desc(), name="operational_event_of_kind"),
            models.Index(F("at").desc(), name="operational_event_newest"),
        ]
        triggers = append_only()


class Override(models.Model):
    """One writer's value for one field of a baseline row; abstract. `overrides.effective` picks one.

    A concrete class adds the foreign key of its baseline and a CHECK of the fields that may be overridden;
    its Meta inherits `Override.Meta` and adds to these constraints.
    """

    class AuthorKind(models.TextChoices):
        OPERATOR = "operator", "Operator"
        AUTO_RAISE = "auto_raise", "Auto-raise rule"
        RUNBOOK = "runbook", "Runbook"

    field = models.CharField(max_length=40)
    value = models.JSONField()
    author_kind = models.CharField(max_length=10, choices=AuthorKind.choices)
    author = models.CharField(max_length=254)  # the e-mail address, or the rule or runbook by name
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    removed_by = models.CharField(max_length=254, blank=True, default="")

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(name="%(class)s_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(
                name="%(class)s_author_known",
                condition=Q(author_kind__in=["operator", "auto_raise", "runbook"]) & Q(author__regex=WRITTEN),
            ),
            models.CheckConstraint(
                name="%(class)s_expires_later",
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("created_at")),
            ),
            models.CheckConstraint(
                name="%(class)s_removed_by_someone",
                condition=Q(removed_at__isnull=True, removed_by="")
                | Q(removed_at__isnull=False, removed_by__regex=WRITTEN),
            ),
        ]

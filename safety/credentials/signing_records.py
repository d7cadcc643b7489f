"""The keys that sign, as rows: which one is in force, which ones were, and the anchors that their clips rest on.

Private keys are never here: a row says where its key lies and which certificate belongs to it.
"""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import WRITTEN

SHA256 = r"^[0-9a-f]{64}$"


class SignerKey(models.Model):
    """A signing certificate with the place of its key. At most one is active; none is ever forgotten."""

    class Source(models.TextChoices):
        FILE = "file", "Files in a folder"
        ENVIRONMENT = "environment", "Environment variables"
        CALLBACK = "callback", "A callback (KMS or HSM)"

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        RETIRING = "retiring", "Retiring"  # signs nothing any more; the rotation may still be undone
        RETIRED = "retired", "Retired"  # its anchors stay, so that what it signed stays Trusted

    source = models.CharField(max_length=12, choices=Source.choices)
    # A folder (relative ones lie under SIGNING_ROOT), a prefix of environment variables, or a dotted path.
    location = models.CharField(max_length=300)
    certificates = models.TextField()  # PEM: the leaf, then what leads to the anchor
    anchors = models.TextField()  # PEM of the roots
    fingerprint = models.CharField(max_length=64, unique=True)  # sha256 of the leaf, hex
    subject = models.CharField(max_length=300)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    development = models.BooleanField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    author = models.CharField(
        max_length=254
    )  # an e-mail address, or the part of the system that registered it
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    retiring_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="signer_key_one_active", fields=["state"], condition=Q(state="active")
            ),
            models.CheckConstraint(
                name="signer_key_source_known", condition=Q(source__in=["file", "environment", "callback"])
            ),
            models.CheckConstraint(
                name="signer_key_state_known", condition=Q(state__in=["active", "retiring", "retired"])
            ),
            models.CheckConstraint(
                name="signer_key_state_dated",
                condition=Q(state="active", retiring_at=None, retired_at=None)
                | Q(state="retiring", retiring_at__isnull=False, retired_at=None)
                | Q(state="retired", retired_at__isnull=False),
            ),
            models.CheckConstraint(
                name="signer_key_fingerprint_is_sha256", condition=Q(fingerprint__regex=SHA256)
            ),
            models.CheckConstraint(
                name="signer_key_chain_kept",
                condition=Q(
                    certificates__contains="BEGIN CERTIFICATE", anchors__contains="BEGIN CERTIFICATE"
                ),
            ),
            models.CheckConstraint(name="signer_key_lives", condition=Q(not_after__gt=F("not_before"))),
            models.CheckConstraint(
                name="signer_key_explained",
                condition=Q(reason__regex=WRITTEN, author__regex=WRITTEN, location__regex=WRITTEN),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="keys_are_kept", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'signer keys are kept: their anchors hold up delivered clips';",
            ),
            pgtrigger.Trigger(
                name="only_the_state_changes",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="""
                    IF (NEW.source, NEW.location, NEW.certificates, NEW.anchors, NEW.fingerprint, NEW.subject,
                        NEW.not_before, NEW.not_after, NEW.development, NEW.author, NEW.reason, NEW.created_at)
                       IS DISTINCT FROM
                       (OLD.source, OLD.location, OLD.certificates, OLD.anchors, OLD.fingerprint, OLD.subject,
                        OLD.not_before, OLD.not_after, OLD.development, OLD.author, OLD.reason, OLD.created_at)
                    THEN
                        RAISE EXCEPTION 'signer key %: only its state changes', OLD.id
                        USING ERRCODE = 'check_violation';
                    END IF;
                    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
                        ('active', 'retiring'), ('active', 'retired'), ('retiring', 'active'), ('retiring', 'retired')
                    ) THEN
                        RAISE EXCEPTION 'signer key %: % does not go to %', OLD.id, OLD.state, NEW.state
                        USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.fingerprint[:12]})"

"""Who may do what, and the record of it.

Terms and enrollments are append-only, as the records of accounts/records.py are: a change is a newer row.
"""

from functools import cached_property
from typing import ClassVar

import pgtrigger
from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from accounts.api.records import IdempotentCall
from accounts.append_only import append_only
from accounts.joining import (
    Cohort,
    InvitationCode,
    MemberInvitation,
    Registration,
    SignUpDay,
    SignUpPolicy,
)
from accounts.records import (
    WRITTEN,
    Approval,
    AuditEntry,
    AuditSeal,
    OperationalEvent,
    OutboxEvent,
    Override,
)
from accounts.webhooks.records import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
    WebhookSecret,
)

__all__ = [
    "ApiKey",
    "Approval",
    "AuditEntry",
    "AuditSeal",
    "Cohort",
    "Enrollment",
    "IdempotentCall",
    "InvitationCode",
    "MemberInvitation",
    "Membership",
    "OperationalEvent",
    "Organization",
    "OutboxEvent",
    "Override",
    "Registration",
    "SignUpDay",
    "SignUpPolicy",
    "StaffRole",
    "Tier",
    "TierTerms",
    "User",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "WebhookSecret",
]


class UserManager(BaseUserManager):
    """Makes users by e-mail address; addresses are stored in lower case."""

    use_in_migrations = True

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        return super().normalize_email(email).strip().lower()

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractUser):
    """A person who signs in by e-mail. What they may do lies in their memberships and staff roles."""

    username = None
    first_name = None
    last_name = None
    is_staff = None  # staff rights are StaffRole rows, one per room
    email = models.EmailField("e-mail address", unique=True)
    name = models.CharField(max_length=150, blank=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [
            # With the unique index: addresses are unique whatever their case, look-ups plain equality.
            models.CheckConstraint(name="user_email_is_lower_case", condition=Q(email=Lower("email"))),
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email.partition("@")[0]

    @cached_property
    def staff_roles(self) -> frozenset[str]:
        """The staff roles of this person; one query per loaded user, so once per request."""
        return frozenset(self.staff_role_rows.values_list("role", flat=True))


class StaffRole(models.Model):
    """A room of the console that a member of staff may enter, and whose actions they may take."""

    class Role(models.TextChoices):
        BILLING_ADMIN = "billing_admin", "Billing admin"
        OPERATOR = "operator", "Operator"
        TRUST_SAFETY = "trust_safety", "Trust & safety"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="staff_role_rows", db_index=False)
    role = models.CharField(max_length=20, choices=Role.choices)
    granted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="staff_role_once", fields=["user", "role"]),
            models.CheckConstraint(
                name="staff_role_known", condition=Q(role__in=["billing_admin", "operator", "trust_safety"])
            ),
        ]


class Tier(models.Model):
    """free, plus, pro, enterprise. What a tier allows lies in its dated terms."""

    slug = models.SlugField(max_length=20, primary_key=True)
    name = models.CharField(max_length=40)
    rank = models.PositiveSmallIntegerField(unique=True)  # the order of columns and legends

    class Meta:
        ordering = ("rank",)

    def __str__(self) -> str:
        return self.name


class TierTerms(models.Model):
    """What a tier allows from a moment on. A change of terms is a new row; the newest one in force counts.

    An allowance of NULL is settled by contract, not by the tier. Units are micro-units (1 unit = 1,000,000).
    """

    class Precision(models.TextChoices):
        LOW = "low", "low where it exists"
        FULL = "full", "full"

    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="terms", db_index=False)
    effective_from = models.DateTimeField()
    allowance_day_micro = models.BigIntegerField(null=True)
    allowance_month_micro = models.BigIntegerField(null=True)
    requests_per_minute = models.PositiveIntegerField()  # of the organization
    requests_per_minute_key = models.PositiveIntegerField()  # of one API key
    max_open = models.PositiveIntegerField()  # open jobs, checked at admission
    max_running = models.PositiveIntegerField()  # running clips, the burst cap, checked at claim
    units_in_flight_micro = models.BigIntegerField()
    steps = models.PositiveSmallIntegerField()  # denoising steps: the default and the maximum
    max_width = models.PositiveIntegerField()
    max_height = models.PositiveIntegerField()
    max_seconds = models.PositiveIntegerField()
    lane_weight = models.PositiveIntegerField()
    preemptible = models.BooleanField()
    precision = models.CharField(max_length=4, choices=Precision.choices)
    target_s = models.PositiveIntegerField()  # time in system, p95
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Also the index of terms_for: the newest terms of a tier that are in force.
            models.UniqueConstraint(name="tier_terms_one_per_moment", fields=["tier", "effective_from"]),
            models.CheckConstraint(
                name="tier_terms_allowance_whole",
                condition=Q(allowance_day_micro__isnull=True, allowance_month_micro__isnull=True)
                # Each "is not null" is needed: a CHECK that comes to NULL passes.
                | Q(allowance_day_micro__isnull=False, allowance_month_micro__isnull=False)
                & Q(allowance_day_micro__gte=0, allowance_month_micro__gte=F("allowance_day_micro")),
            ),
            # A free tier without a cap is refused as a design: no limit may be zero, none can be missing.
            models.CheckConstraint(
                name="tier_terms_limits_positive",
                condition=Q(requests_per_minute__gte=1, requests_per_minute_key__gte=1, max_open__gte=1)
                & Q(max_running__gte=1, units_in_flight_micro__gte=1, steps__gte=1, max_width__gte=1)
                & Q(max_height__gte=1, max_seconds__gte=1, lane_weight__gte=1, target_s__gte=1),
            ),
            models.CheckConstraint(
                name="tier_terms_precision_known", condition=Q(precision__in=["low", "full"])
            ),
            models.CheckConstraint(name="tier_terms_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.tier_id} from {self.effective_from:%Y-%m-%d}"


class Organization(models.Model):
    """A tenant: it owns jobs, keys and a wallet."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="organization_name_written", condition=Q(name__regex=WRITTEN)),
            models.CheckConstraint(
                name="organization_slug_well_formed", condition=Q(slug__regex=r"^[a-z0-9]+(-[a-z0-9]+)*$")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Enrollment(models.Model):
    """The tier of an organization from a moment on. The newest row in force counts."""

    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="enrollments", db_index=False
    )
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="enrollments")
    effective_from = models.DateTimeField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="enrollment_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        indexes = [
            # terms_for: the newest enrollment of an organization that is in force.
            models.Index(
                F("organization"), F("effective_from").desc(), F("id").desc(), name="enrollment_newest_first"
            ),
        ]
        triggers = append_only()


class Membership(models.Model):
    """A person's place in an organization."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        BILLING = "billing", "Billing"
        MEMBER = "member", "Member"

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Also the index of session_caller, which looks up the memberships of a person.
            models.UniqueConstraint(name="membership_once", fields=["user", "organization"]),
            models.CheckConstraint(
                name="membership_role_known", condition=Q(role__in=["owner", "billing", "member"])
            ),
        ]
        triggers = [
            # The organization's row serializes two owners who remove each other at the same moment.
            pgtrigger.Trigger(
                name="an_owner_stays",
                when=pgtrigger.After,
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Condition("OLD.role = 'owner'"),
                func="""
                    PERFORM 1 FROM accounts_organization WHERE id = OLD.organization_id FOR NO KEY UPDATE;
                    IF FOUND AND NOT EXISTS (
                        SELECT 1 FROM accounts_membership
                         WHERE organization_id = OLD.organization_id AND role = 'owner'
                    ) THEN
                        RAISE EXCEPTION 'organization % would be left without an owner', OLD.organization_id
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'membership_an_owner_stays';
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]


class ApiKey(models.Model):
    """A secret that speaks for an organization. Only its sha256 digest is stored; it is shown once."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        GENERATE = "generate", "Generate"
        BILLING = "billing", "Billing"
        ADMIN = "admin", "Admin"

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)  # sha256 of the raw key, hex
    prefix = models.CharField(max_length=8, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices))
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)  # a rotated key: until its programs have the new one
    replaces = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="replaced_by", editable=False
    )
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="api_key_name_written", condition=Q(name__regex=WRITTEN)),
            models.CheckConstraint(
                name="api_key_digest_is_sha256", condition=Q(digest__regex=r"^[0-9a-f]{64}$")
            ),
            models.CheckConstraint(
                name="api_key_scopes_known",
                condition=Q(scopes__contained_by=["read", "generate", "billing", "admin"])
                & Q(scopes__len__gte=1),
            ),
            models.CheckConstraint(
                name="api_key_shows_no_more_than_its_ends",
                condition=Q(prefix__regex=r"^bk_.{1,5}$") & Q(last_four__regex=r"^.{4}$"),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="identity_is_fixed",
                fields=["organization", "digest", "prefix", "last_four", "created_at", "replaces"],
            ),
            pgtrigger.Protect(
                name="expiry_is_never_put_off",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__expires_at__isnull=False)
                & (
                    pgtrigger.Q(new__expires_at__isnull=True)
                    | pgtrigger.Q(new__expires_at__gt=pgtrigger.F("old__expires_at"))
                ),
            ),
            # A revoked key stays revoked: a leaked secret must not come back to life.
            pgtrigger.Protect(
                name="revoked_stays_revoked",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__revoked_at__isnull=False)
                & pgtrigger.Q(old__revoked_at__df=pgtrigger.F("new__revoked_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…{self.last_four})"

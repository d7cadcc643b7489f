"""How people come in: the gate at sign-up with its codes and its daily cap, and invitations into an organization."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from accounts.append_only import append_only
from accounts.records import WRITTEN

SHA256 = r"^[0-9a-f]{64}$"
DAILY_CAP = "sign_up_daily_cap"  # the name under which the database refuses a sign-up over the cap


class SignUpPolicy(models.Model):
    """Who may sign up. A change is a newer row, the newest one counts; the rows are the history. Append-only."""

    invite_only = models.BooleanField()
    daily_cap = models.PositiveIntegerField(null=True)  # new organizations per UTC day; NULL is no cap
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="sign_up_policy_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = append_only()
        verbose_name_plural = "sign-up policies"


class Cohort(models.Model):
    """A group of people who are let in together, by codes of their own, perhaps with credit to begin with."""

    name = models.CharField(max_length=80)
    note = models.TextField(blank=True, default="")
    credit_micro = models.BigIntegerField(default=0)  # promotional credit for each organization that joins
    credit_days = models.PositiveIntegerField(default=90)  # until that credit expires
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)  # its codes are refused from then on

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("name"), name="cohort_name_once"),
            models.CheckConstraint(name="cohort_name_written", condition=Q(name__regex=WRITTEN)),
            models.CheckConstraint(
                name="cohort_credit_in_bounds", condition=Q(credit_micro__gte=0, credit_days__gte=1)
            ),
        ]
        triggers = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.name


class InvitationCode(models.Model):
    """A code that lets people of a cohort sign up. Only its sha256 digest is stored; it is shown once."""

    cohort = models.ForeignKey(Cohort, on_delete=models.PROTECT, related_name="codes")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    max_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="invitation_code_digest", condition=Q(digest__regex=SHA256)),
            models.CheckConstraint(
                name="invitation_code_uses_in_bounds",
                condition=Q(max_uses__gte=1, uses__gte=0, uses__lte=F("max_uses")),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="code_is_fixed",
                fields=["cohort", "digest", "last_four", "max_uses", "expires_at", "created_by"],
            ),
            pgtrigger.Protect(
                name="uses_are_never_given_back",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__uses__lt=pgtrigger.F("old__uses")),
            ),
            pgtrigger.Protect(
                name="revoked_stays_revoked",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__revoked_at__isnull=False)
                & pgtrigger.Q(old__revoked_at__df=pgtrigger.F("new__revoked_at")),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"…{self.last_four} of {self.cohort_id}"


class SignUpDay(models.Model):
    """How many organizations signed up on a UTC day. Only the trigger of `Registration` counts here."""

    day = models.DateField(primary_key=True)
    made = models.PositiveIntegerField()

    class Meta:
        triggers = [
            pgtrigger.Protect(
                name="counts_by_one",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("NEW.made <> OLD.made + 1"),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]


class Registration(models.Model):
    """An organization that came by sign-up: which of its day it was, and by whose invitation. Append-only.

    `day` and `number` are written by the database, which counts under the lock of the day's row and refuses the
    number that would be over the cap: however many sign up at once, and whoever inserts the row.
    """

    organization = models.OneToOneField(
        "accounts.Organization", on_delete=models.PROTECT, related_name="registration"
    )
    person = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    code = models.ForeignKey(
        InvitationCode, null=True, on_delete=models.PROTECT, related_name="registrations"
    )
    day = models.DateField()
    number = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(name="registration_number_once", fields=["day", "number"])]
        indexes = [models.Index(F("created_at").desc(), name="registration_newest_first")]
        triggers = [
            *append_only(),
            pgtrigger.Trigger(
                name="count_of_the_day",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("cap", "integer")],
                func=f"""
                    NEW.day := (clock_timestamp() AT TIME ZONE 'UTC')::date;
                    INSERT INTO accounts_signupday AS counted (day, made) VALUES (NEW.day, 1)
                    ON CONFLICT (day) DO UPDATE SET made = counted.made + 1
                    RETURNING made INTO NEW.number;
                    SELECT daily_cap INTO cap FROM accounts_signuppolicy ORDER BY id DESC LIMIT 1;
                    IF cap IS NOT NULL AND NEW.number > cap THEN
                        RAISE EXCEPTION 'the cap of % new organizations on % is reached', cap, NEW.day
                        USING ERRCODE = 'check_violation', CONSTRAINT = '{DAILY_CAP}';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]


class MemberInvitation(models.Model):
    """A link by e-mail into an organization: single use, expiring. Only the sha256 digest of its token is stored."""

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.CASCADE, related_name="member_invitations"
    )
    email = models.EmailField()
    role = models.CharField(max_length=10)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="member_invitation_digest", condition=Q(digest__regex=SHA256)),
            models.CheckConstraint(
                name="member_invitation_email_is_lower_case", condition=Q(email=Lower("email"))
            ),
            models.CheckConstraint(
                name="member_invitation_role_known", condition=Q(role__in=["owner", "billing", "member"])
            ),
            models.CheckConstraint(
                name="member_invitation_ends_once",
                condition=Q(accepted_at__isnull=True) | Q(revoked_at__isnull=True),
            ),
            models.UniqueConstraint(
                name="member_invitation_waits_once",
                fields=["organization", "email"],
                condition=Q(accepted_at__isnull=True, revoked_at__isnull=True),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="invitation_is_fixed",
                fields=["organization", "email", "role", "digest", "invited_by", "expires_at"],
            ),
            pgtrigger.Protect(
                name="used_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__accepted_at__isnull=False)
                & pgtrigger.Q(old__accepted_at__df=pgtrigger.F("new__accepted_at")),
            ),
        ]

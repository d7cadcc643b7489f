"""Credits that are given: promotion codes, staff adjustments with their approval, credits for missed targets.

What the database refuses here is in credit_guards.py.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Upper

from billing import credit_guards

WRITTEN = r"\S"


class PromotionCode(models.Model):
    """A code that gives promotional credits: once per organization, so many times in all."""

    code = models.CharField(max_length=40, unique=True)  # upper case, so that case never matters
    credits_micro = models.BigIntegerField()
    credits_last_days = models.PositiveIntegerField()  # from the redemption on
    max_redemptions = models.PositiveIntegerField()
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    author = models.CharField(max_length=254)
    approved_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="promotion_code_form",
                condition=Q(code=Upper("code")) & Q(code__regex=r"^[A-Z0-9][A-Z0-9-]{2,39}$"),
            ),
            models.CheckConstraint(
                name="promotion_code_figures",
                condition=Q(credits_micro__gt=0, credits_last_days__gt=0, max_redemptions__gt=0)
                & Q(valid_until__gt=F("valid_from")),
            ),
            models.CheckConstraint(name="promotion_code_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = credit_guards.promotion_code_triggers()

    def __str__(self) -> str:
        return self.code


class Redemption(models.Model):
    """An organization's use of a code, with the grant it brought. Append-only."""

    promotion = models.ForeignKey(
        PromotionCode, on_delete=models.PROTECT, related_name="redemptions", db_index=False
    )
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="redemptions"
    )
    transaction = models.OneToOneField(
        "billing.Transaction", on_delete=models.PROTECT, related_name="redemption"
    )
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="redemption_once", fields=["promotion", "organization"]),
        ]
        triggers = credit_guards.redemption_triggers()


class Adjustment(models.Model):
    """A change of credits that a member of staff asks for; above a limit a second person approves it.

    grant: credits given to a bucket · adjust: purchased credits corrected up or down · refund: a charge given back,
    in part or whole · void: a transaction taken back by its reversal.
    """

    class Kind(models.TextChoices):
        GRANT = "grant", "Grant"
        ADJUST = "adjust", "Adjust"
        REFUND = "refund", "Refund of a charge"
        VOID = "void", "Void"

    class State(models.TextChoices):
        REQUESTED = "requested", "Waiting for approval"
        APPLIED = "applied", "Applied"
        REJECTED = "rejected", "Rejected"
        WITHDRAWN = "withdrawn", "Withdrawn"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="adjustments"
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    bucket = models.CharField(max_length=12, blank=True, default="")  # of a grant: purchased or promotional
    amount_micro = models.BigIntegerField()  # signed: what it does to the balance
    expires_at = models.DateTimeField(null=True)  # of promotional credits
    charge = models.ForeignKey(
        "billing.Charge", null=True, on_delete=models.PROTECT, related_name="adjustments"
    )
    voids = models.ForeignKey(
        "billing.Transaction", null=True, on_delete=models.PROTECT, related_name="adjustments"
    )
    reason = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    requested_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())
    approved_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_note = models.TextField(blank=True, default="")
    transaction = models.OneToOneField(
        "billing.Transaction", null=True, on_delete=models.PROTECT, related_name="adjustment"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="adjustment_not_self_approved",
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")),
            ),
            models.CheckConstraint(
                name="adjustment_of_its_kind",
                condition=Q(kind="grant", amount_micro__gt=0, bucket__in=["purchased", "promotional"])
                & Q(charge__isnull=True, voids__isnull=True)
                | Q(kind="adjust", bucket="purchased", charge__isnull=True, voids__isnull=True)
                & ~Q(amount_micro=0)
                | Q(kind="refund", amount_micro__gt=0, charge__isnull=False, voids__isnull=True)
                | Q(kind="void", charge__isnull=True, voids__isnull=False),
            ),
            models.CheckConstraint(
                name="adjustment_state_and_transaction",
                condition=Q(state="requested", transaction__isnull=True, decided_at__isnull=True)
                | Q(state="applied", transaction__isnull=False, decided_at__isnull=False)
                | Q(state__in=["rejected", "withdrawn"], transaction__isnull=True, decided_at__isnull=False),
            ),
            models.CheckConstraint(name="adjustment_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        indexes = [
            # The approvals page.
            models.Index(fields=["requested_at"], name="adjustment_waiting", condition=Q(state="requested")),
        ]
        triggers = credit_guards.adjustment_triggers()


class SlaCredit(models.Model):
    """What a clip earned that was delivered later than its target row. Once per piece of work. Append-only."""

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="sla_credits"
    )
    usage_event = models.OneToOneField(
        "billing.UsageEvent", on_delete=models.PROTECT, related_name="sla_credit"
    )
    target = models.ForeignKey("billing.SlaTarget", on_delete=models.PROTECT, related_name="+")
    took_ms = models.BigIntegerField()  # time in system
    amount = models.BigIntegerField()
    transaction = models.OneToOneField(
        "billing.Transaction", on_delete=models.PROTECT, related_name="sla_credit"
    )
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="sla_credit_amounts", condition=Q(amount__gt=0, took_ms__gt=0)),
        ]
        indexes = [models.Index(F("organization"), F("at").desc(), name="sla_credit_newest_first")]
        triggers = credit_guards.sla_credit_triggers()

"""What things cost and what is promised, as dated rows: a change is a newer row, the newest in force counts."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from billing import credit_guards

WRITTEN = r"\S"


class Operation(models.TextChoices):
    """What a price is for. `allowance` is what one unit of a tier's included allowance is worth."""

    CLIP = "clip", "Clip"
    CODE = "code", "Code"
    CACHED = "cached", "Exact repeat, served from the cache"
    ALLOWANCE = "allowance", "Included allowance"


# A price that was ever in force is kept for good. The seconds are for the clocks of those who read prices.
_IN_FORCE = pgtrigger.Condition("OLD.effective_from <= clock_timestamp() + interval '5 seconds'")


def _kept_once_in_force() -> list[pgtrigger.Trigger]:
    return [
        pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update),
        pgtrigger.Protect(name="kept_once_in_force", operation=pgtrigger.Delete, condition=_IN_FORCE),
        *(trigger for trigger in append_only() if trigger.name == "no_truncate"),
    ]


class PriceVersion(models.Model):
    """The price of a compute unit from a moment on. A change is a newer row; the newest in force counts.

    A row is never changed. One that isn't in force yet may be taken back; the audit log keeps what it was.
    """

    operation = models.CharField(max_length=12, choices=Operation.choices)
    micro_per_unit = models.BigIntegerField()
    micro_per_credit = models.BigIntegerField(default=1_000_000)
    effective_from = models.DateTimeField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Also the index of pricing look-ups: the newest row of an operation that is in force.
            models.UniqueConstraint(name="price_one_per_moment", fields=["operation", "effective_from"]),
            models.CheckConstraint(
                name="price_not_negative", condition=Q(micro_per_unit__gte=0, micro_per_credit__gte=1)
            ),
            models.CheckConstraint(
                name="price_operation_known",
                condition=Q(operation__in=["clip", "code", "cached", "allowance"]),
            ),
            models.CheckConstraint(name="price_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = _kept_once_in_force()

    def __str__(self) -> str:
        return f"{self.operation} from {self.effective_from:%Y-%m-%d}"


class CreditPack(models.Model):
    """Credits for sale: so many for so much money. `on_sale` False is the row that withdraws a pack."""

    slug = models.SlugField(max_length=40)
    name = models.CharField(max_length=80)
    credits_micro = models.BigIntegerField()
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    on_sale = models.BooleanField(default=True)
    effective_from = models.DateTimeField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Also the index of the shop: the newest row of each pack that is in force.
            models.UniqueConstraint(name="pack_one_per_moment", fields=["slug", "effective_from"]),
            models.CheckConstraint(
                name="pack_amounts_positive", condition=Q(credits_micro__gt=0, amount_cents__gt=0)
            ),
            models.CheckConstraint(name="pack_currency_code", condition=Q(currency__regex=r"^[a-z]{3}$")),
            models.CheckConstraint(name="pack_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return self.name


class SlaTarget(models.Model):
    """The time in system promised to clips up to a length on a tier, and what a breach earns (0: nothing).

    An empty `model` is any model; a row that names the model goes before it. Of the lengths that hold the clip the
    shortest counts.
    """

    tier = models.ForeignKey("accounts.Tier", on_delete=models.PROTECT, related_name="+", db_index=False)
    model = models.CharField(max_length=100, blank=True, default="")
    max_seconds = models.PositiveIntegerField()  # clips up to this length
    target_s = models.PositiveIntegerField()
    credit_micro = models.BigIntegerField()
    effective_from = models.DateTimeField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="sla_target_one_per_moment", fields=["tier", "model", "max_seconds", "effective_from"]
            ),
            models.CheckConstraint(
                name="sla_target_amounts", condition=Q(max_seconds__gt=0, target_s__gt=0, credit_micro__gte=0)
            ),
            models.CheckConstraint(name="sla_target_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = append_only()


class UnitCalibration(models.Model):
    """GPU time per compute unit of a model, fitted from finished attempts, and how far the quotes were off."""

    model = models.CharField(max_length=100)
    rule_version = models.CharField(max_length=20)  # generation.policy.cost.RULE_VERSION
    gpu_ms_per_unit = models.FloatField()
    attempts = models.PositiveIntegerField()  # how many it was fitted from
    error_median = models.FloatField()  # of |estimate - measured| / measured
    error_p90 = models.FloatField()
    effective_from = models.DateTimeField()
    author = models.CharField(max_length=254)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="calibration_one_per_moment", fields=["model", "effective_from"]),
            models.CheckConstraint(
                name="calibration_figures",
                condition=Q(gpu_ms_per_unit__gt=0, attempts__gt=0, error_median__gte=0, error_p90__gte=0),
            ),
            models.CheckConstraint(name="calibration_reason_written", condition=Q(reason__regex=WRITTEN)),
        ]
        triggers = append_only()


class BillingSettings(models.Model):
    """What billing admins may change about billing itself; the newest row in force counts."""

    approval_above_micro = models.BigIntegerField()  # an adjustment above this needs a second person
    low_balance_micro = models.BigIntegerField()  # the notice's threshold, where a wallet has none of its own
    sla_credit_days = (
        models.PositiveIntegerField()
    )  # how long an SLA credit or a goodwill refund can be spent
    reads_per_minute_factor = models.PositiveIntegerField()  # reads allowed per generation request allowed
    effective_from = models.DateTimeField(unique=True)
    author = models.CharField(max_length=254)
    approved_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="billing_settings_figures",
                condition=Q(approval_above_micro__gte=0, low_balance_micro__gte=0)
                & Q(sla_credit_days__gt=0, reads_per_minute_factor__gt=0),
            ),
            models.CheckConstraint(
                name="billing_settings_reason_written", condition=Q(reason__regex=WRITTEN)
            ),
        ]
        indexes = [models.Index(F("effective_from").desc(), name="billing_settings_newest")]
        triggers = credit_guards.billing_settings_triggers()

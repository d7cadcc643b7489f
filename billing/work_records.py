"""From a request to what it cost: decision → hold → usage event → charge. All but the hold's state is written once."""

import uuid
from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from billing import guards
from billing.price_records import Operation, PriceVersion


class Decision(models.Model):
    """Why a request was allowed or refused: layers tried, amounts, versions in force. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="decisions"
    )
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    operation = models.CharField(max_length=12, choices=Operation.choices)
    subject = models.CharField(max_length=200)  # opaque here: what the work is for, such as job:<id>
    model = models.CharField(max_length=100)
    units_micro = models.BigIntegerField()
    quote_micro = models.BigIntegerField()
    price_version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    terms = models.ForeignKey("accounts.TierTerms", on_delete=models.PROTECT, related_name="+")
    rules_version = models.PositiveSmallIntegerField()  # waterfall.VERSION
    allowed = models.BooleanField()
    code = models.CharField(max_length=40, blank=True)  # of the table of errors; empty when allowed
    message = models.TextField()
    would_allow = models.TextField(blank=True)
    layers = models.JSONField()  # [{layer, unit, limit, used, asked, taken, remaining, outcome}]
    remaining = models.JSONField()  # micro-credits left per bucket after this decision
    retry_after_s = models.FloatField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="decision_refused_with_code",
                condition=Q(allowed=True, code="") | (Q(allowed=False) & ~Q(code="")),
            ),
            models.CheckConstraint(
                name="decision_amounts", condition=Q(units_micro__gt=0, quote_micro__gte=0)
            ),
        ]
        indexes = [
            # The decisions page of an organization, newest first.
            models.Index(F("organization"), F("at").desc(), name="decision_newest_first"),
        ]
        triggers = append_only()

    top_up_helps = False  # of a refusal just taken: an automatic top-up would be enough

    @property
    def hold(self) -> "Hold | None":
        """The hold that this decision took; None when it refused."""
        return getattr(self, "hold_taken", None) if self.allowed else None

    @property
    def charge(self) -> "Charge | None":
        """What was charged in the end; None while the work is open and for a refused decision."""
        usage = getattr(self.hold, "usage_event", None)
        return getattr(usage, "charge", None)


class Hold(models.Model):
    """Money set aside for one piece of work. It resolves once: captured (in part or whole), released, expired."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CAPTURED = "captured", "Captured"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Expired"

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="holds")
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="hold_taken")
    subject = models.CharField(max_length=200)
    units_micro = models.BigIntegerField()
    amount = models.BigIntegerField()
    captured = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    held_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    # A backstop by the database's clock: while its job is open a hold is renewed, and nothing else keeps one alive.
    expires_at = models.DateTimeField(db_default=Now() + timedelta(days=7))

    class Meta:
        constraints = [
            # One hold per piece of work, and the look-up of a repeated request.
            models.UniqueConstraint(name="hold_once_per_subject", fields=["organization", "subject"]),
            models.CheckConstraint(name="hold_amounts", condition=Q(amount__gte=0, units_micro__gt=0)),
            models.CheckConstraint(
                name="hold_captured_within", condition=Q(captured__gte=0, captured__lte=F("amount"))
            ),
            models.CheckConstraint(
                name="hold_state_and_amount",
                condition=Q(state="open", captured=0, resolved_at__isnull=True)
                | Q(state="captured", captured__gt=0, resolved_at__isnull=False)
                | Q(state__in=["released", "expired"], captured=0, resolved_at__isnull=False),
            ),
        ]
        indexes = [
            # Every decision counts the open holds of its organization and sums their units.
            models.Index(
                fields=["organization"],
                include=["units_micro", "amount"],
                name="hold_open",
                condition=Q(state="open"),
            ),
            # Upkeep: what ran out, and what is to be renewed.
            models.Index(fields=["expires_at"], name="hold_expiring", condition=Q(state="open")),
        ]
        triggers = guards.hold_triggers()


class HoldPart(models.Model):
    """What a hold took from one bucket. Parts are captured in the order of `position`; the rest goes back."""

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="parts")
    account = models.ForeignKey("billing.Account", on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()
    amount = models.BigIntegerField()
    allowance_day = models.DateField(
        null=True
    )  # whose allowance it was: a later day's release must not add to that

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints = [
            models.UniqueConstraint(name="hold_part_position_once", fields=["hold", "position"]),
            models.UniqueConstraint(name="hold_part_account_once", fields=["hold", "account"]),
            models.CheckConstraint(name="hold_part_positive", condition=Q(amount__gt=0)),
        ]
        triggers = guards.hold_part_triggers()


class UsageEvent(models.Model):
    """What was done, charged or not. One per piece of work. Append-only."""

    class Outcome(models.TextChoices):
        DELIVERED = "delivered", "Delivered"
        CACHED = "cached", "Served from the cache"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"
        BLOCKED = "blocked", "Blocked"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="usage_events"
    )
    hold = models.OneToOneField(Hold, on_delete=models.PROTECT, related_name="usage_event")
    subject = models.CharField(max_length=200)
    operation = models.CharField(max_length=12, choices=Operation.choices)
    model = models.CharField(max_length=100)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    units_micro = models.BigIntegerField()  # the units that were done
    quantity = models.BigIntegerField()  # steps run, or tokens in and out
    reason_code = models.CharField(max_length=60)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="usage_once_per_subject", fields=["organization", "subject"]),
            models.CheckConstraint(name="usage_amounts", condition=Q(units_micro__gte=0, quantity__gte=0)),
            models.CheckConstraint(
                name="usage_outcome_known",
                condition=Q(outcome__in=["delivered", "cached", "cancelled", "failed", "blocked"]),
            ),
            models.CheckConstraint(name="usage_reason_written", condition=Q(reason_code__regex=r"\S")),
        ]
        indexes = [
            # Usage by minute, model, key and member, over any span.
            models.Index(fields=["organization", "at"], name="usage_by_time"),
            # The same over all organizations: revenue by model, and what another price would have brought.
            BrinIndex(fields=["at"], autosummarize=True, name="usage_by_time_of_all"),
        ]
        triggers = append_only()


class Charge(models.Model):
    """What is asked for a usage event: at most what was quoted, nothing for what the system failed. Append-only."""

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="charges"
    )
    usage_event = models.OneToOneField(UsageEvent, on_delete=models.PROTECT, related_name="charge")
    price_version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    quoted = models.BigIntegerField()
    amount = models.BigIntegerField()
    reason_code = models.CharField(max_length=60)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="charge_within_quote", condition=Q(amount__gte=0, amount__lte=F("quoted"))
            ),
            models.CheckConstraint(name="charge_reason_written", condition=Q(reason_code__regex=r"\S")),
        ]
        triggers = guards.charge_triggers()

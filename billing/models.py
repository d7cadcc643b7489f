"""Money and the record of why it moved.

All amounts are integer micro-credits, all units integer micro-units. What the database itself refuses is in
guards.py and in the constraints here; how money moves is told in docs/billing.md.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from billing import guards


class Operation(models.TextChoices):
    """What a price is for. `allowance` is what one unit of a tier's included allowance is worth."""

    CLIP = "clip", "Clip"
    CODE = "code", "Code"
    ALLOWANCE = "allowance", "Included allowance"


class PriceVersion(models.Model):
    """The price of a compute unit from a moment on. A change is a newer row; the newest in force counts."""

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
                name="price_operation_known", condition=Q(operation__in=["clip", "code", "allowance"])
            ),
            models.CheckConstraint(name="price_reason_written", condition=Q(reason__regex=r"\S")),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.operation} from {self.effective_from:%Y-%m-%d}"


class Wallet(models.Model):
    """One per organization. Locking this row serializes everything that moves the organization's money.

    It carries the windows that must be atomic with a hold: the rate limit and the allowance of the day.
    """

    organization = models.OneToOneField(
        "accounts.Organization", on_delete=models.PROTECT, primary_key=True, related_name="wallet"
    )
    rate_tat = models.DateTimeField(null=True)  # theoretical arrival time of the generic cell rate algorithm
    allowance_day = models.DateField(null=True)  # the UTC day of the last roll
    allowance_day_granted = models.BigIntegerField(default=0)  # micro-credits granted for that day
    allowance_month_spent = models.BigIntegerField(default=0)  # spent or held in its month before that day
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="wallet_allowance_not_negative",
                condition=Q(allowance_day_granted__gte=0, allowance_month_spent__gte=0),
            ),
        ]


class Account(models.Model):
    """A bucket of a wallet, or (with no organization) one of the platform's own accounts.

    A platform account has no stored balance: it is summed when asked for, because a row that every transaction
    of every organization updates is the slowest row there is.
    """

    class Kind(models.TextChoices):
        PURCHASED = "purchased", "Purchased credits"
        ALLOWANCE = "allowance", "Included allowance"
        PROMOTIONAL = "promotional", "Promotional credits"
        HELD = "held", "Held for open work"
        REVENUE = "revenue", "Revenue"
        GRANTS = "grants", "Grants"
        CASH = "cash", "Cash"

    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="accounts"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    balance = models.BigIntegerField(null=True)  # moved by the trigger on entries and by nothing else
    expires_at = models.DateTimeField(null=True)  # of promotional credits
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="account_of_wallet_or_platform",
                condition=Q(
                    organization__isnull=False,
                    balance__isnull=False,
                    kind__in=["purchased", "allowance", "promotional", "held"],
                )
                | Q(
                    organization__isnull=True,
                    balance__isnull=True,
                    kind__in=["revenue", "grants", "cash", "allowance"],
                ),
            ),
            # The backstop behind the lock on the wallet: nothing spends what is not there.
            models.CheckConstraint(name="account_balance_not_negative", condition=Q(balance__gte=0)),
            models.CheckConstraint(
                name="account_promotional_expires",
                condition=Q(kind="promotional", expires_at__isnull=False)
                | (~Q(kind="promotional") & Q(expires_at__isnull=True)),
            ),
            # Also finds the three standing accounts of a wallet.
            models.UniqueConstraint(
                name="account_standing_once",
                fields=["organization", "kind"],
                condition=~Q(kind="promotional"),
            ),
            models.UniqueConstraint(
                name="account_platform_once", fields=["kind"], condition=Q(organization__isnull=True)
            ),
        ]
        indexes = [
            # Books: the promotions that still have something in them. Spent ones pile up and are never read.
            models.Index(
                fields=["organization", "expires_at"],
                name="account_promotions_left",
                condition=Q(kind="promotional", balance__gt=0),
            ),
        ]
        triggers = guards.account_triggers()

    def __str__(self) -> str:
        return f"{self.kind} of {self.organization_id or 'the platform'}"


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
        ]
        triggers = guards.hold_triggers()


class HoldPart(models.Model):
    """What a hold took from one bucket. Parts are captured in the order of `position`; the rest goes back."""

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="parts")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
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
                condition=Q(outcome__in=["delivered", "cancelled", "failed", "blocked"]),
            ),
            models.CheckConstraint(name="usage_reason_written", condition=Q(reason_code__regex=r"\S")),
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


class Transaction(models.Model):
    """What moved and why (the balance update). Its entries sum to zero. Append-only: a correction is a new one."""

    class Kind(models.TextChoices):
        GRANT = "grant", "Credits granted"
        PROMOTION = "promotion", "Promotional credits granted"
        ALLOWANCE = "allowance", "Included allowance of the day"
        HOLD = "hold", "Held for open work"
        CHARGE = "charge", "Charged"
        RELEASE = "release", "Released"
        EXPIRY = "expiry", "Expired"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="transactions"
    )
    operation = models.CharField(max_length=20)  # the ledger's call; keys are unique within it
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)  # sha256 of what was asked, hex
    kind = models.CharField(max_length=12, choices=Kind.choices)
    reason = models.TextField()
    hold = models.ForeignKey(Hold, null=True, on_delete=models.PROTECT, related_name="transactions")
    charge = models.ForeignKey(Charge, null=True, on_delete=models.PROTECT, related_name="transactions")
    actor = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    available_after = models.BigIntegerField()
    held_after = models.BigIntegerField()
    at = models.DateTimeField()
    written_in = models.BigIntegerField(
        default=0, editable=False
    )  # database transaction id, set by a trigger

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="transaction_idempotent", fields=["organization", "operation", "idempotency_key"]
            ),
            models.CheckConstraint(
                name="transaction_balances_not_negative",
                condition=Q(available_after__gte=0, held_after__gte=0),
            ),
            models.CheckConstraint(name="transaction_reason_written", condition=Q(reason__regex=r"\S")),
            models.CheckConstraint(
                name="transaction_hash_is_sha256", condition=Q(request_hash__regex=r"^[0-9a-f]{64}$")
            ),
        ]
        indexes = [
            # The statement of an organization, newest first, page by page.
            models.Index(F("organization"), F("id").desc(), name="transaction_newest_first"),
        ]
        triggers = guards.transaction_triggers()


class Entry(models.Model):
    """One signed movement on one account. Append-only."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="entries")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries")
    amount = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="entry_once_per_account", fields=["transaction", "account"]),
            models.CheckConstraint(name="entry_moves_something", condition=~Q(amount=0)),
        ]
        triggers = guards.entry_triggers()

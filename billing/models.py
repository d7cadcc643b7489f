"""Money and the record of why it moved.

All amounts are integer micro-credits, all units integer micro-units. What the database itself refuses is in
guards.py and in the constraints here; how money moves is told in docs/billing.md.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing import guards
from billing.credit_records import Adjustment, PromotionCode, Redemption, SlaCredit
from billing.payment_records import AutoTopUp, Payment, PaymentCustomer, PaymentEvent, Refund
from billing.payments.sandbox_records import SandboxEvent, SandboxObject
from billing.price_records import (
    BillingSettings,
    CreditPack,
    Operation,
    PriceVersion,
    SlaTarget,
    UnitCalibration,
)
from billing.spending_records import Budget, BudgetMonth, Invoice, Notice, OverageContract, RateRefusals
from billing.work_records import Charge, Decision, Hold, HoldPart, UsageEvent

__all__ = [
    "Account",
    "Adjustment",
    "AutoTopUp",
    "BillingSettings",
    "Budget",
    "BudgetMonth",
    "Charge",
    "CreditPack",
    "Decision",
    "Entry",
    "Hold",
    "HoldPart",
    "Invoice",
    "Notice",
    "Operation",
    "OverageContract",
    "Payment",
    "PaymentCustomer",
    "PaymentEvent",
    "PriceVersion",
    "PromotionCode",
    "RateRefusals",
    "Redemption",
    "Refund",
    "SandboxEvent",
    "SandboxObject",
    "SlaCredit",
    "SlaTarget",
    "Transaction",
    "UnitCalibration",
    "UsageEvent",
    "Wallet",
]


class Wallet(models.Model):
    """One per organization. Locking this row serializes everything that moves the organization's money.

    It carries the windows that must be atomic with a hold: the rate limits of the organization and of its keys, the
    allowance of the day, the overage of the month.
    """

    organization = models.OneToOneField(
        "accounts.Organization", on_delete=models.PROTECT, primary_key=True, related_name="wallet"
    )
    rate_tat = models.DateTimeField(null=True)  # theoretical arrival time of the generic cell rate algorithm
    allowance_day = models.DateField(null=True)  # the UTC day of the last roll
    allowance_day_granted = models.BigIntegerField(default=0)  # micro-credits granted for that day
    allowance_month_spent = models.BigIntegerField(default=0)  # spent or held in its month before that day
    overage_month = models.DateField(null=True)  # the first day of the month of the last roll
    overage_granted = models.BigIntegerField(
        default=0
    )  # micro-credits of contract limit opened for that month
    # Arrival times per API key id, in microseconds since 1970; those that are over are dropped at each use.
    key_rates = models.JSONField(default=dict, db_default={})
    low_balance_micro = models.BigIntegerField(null=True)  # when to tell; NULL is the setting of all
    low_balance_told = models.BooleanField(default=False, db_default=False)  # until it has risen again
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="wallet_allowance_not_negative",
                condition=Q(allowance_day_granted__gte=0, allowance_month_spent__gte=0),
            ),
            models.CheckConstraint(
                name="wallet_overage_not_negative",
                condition=Q(overage_granted__gte=0),
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
        OVERAGE = "overage", "Overage by contract"
        HELD = "held", "Held for open work"
        RECEIVABLE = "receivable", "Owed after a dispute"
        REVENUE = "revenue", "Revenue"
        GRANTS = "grants", "Grants"
        CASH = "cash", "Cash"
        SLA = "sla", "Credits for missed targets"

    organization = models.ForeignKey(
        "accounts.Organization", null=True, on_delete=models.PROTECT, related_name="accounts"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    balance = models.BigIntegerField(null=True)  # moved by the trigger on entries and by nothing else
    expires_at = models.DateTimeField(null=True)  # of promotional credits, and of a month's overage
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="account_of_wallet_or_platform",
                condition=Q(
                    organization__isnull=False,
                    balance__isnull=False,
                    kind__in=["purchased", "allowance", "promotional", "overage", "held", "receivable"],
                )
                | Q(
                    organization__isnull=True,
                    balance__isnull=True,
                    kind__in=["revenue", "grants", "cash", "allowance", "overage", "sla"],
                ),
            ),
            # The backstop behind the lock on the wallet: nothing spends what is not there.
            # What the customer owes is the one account on the other side of zero, and it is no bucket.
            models.CheckConstraint(
                name="account_balance_not_negative",
                condition=~Q(kind="receivable") & Q(balance__gte=0)
                | Q(kind="receivable", balance__lte=0)
                | Q(balance__isnull=True),
            ),
            models.CheckConstraint(
                name="account_promotional_expires",
                condition=Q(kind="promotional", expires_at__isnull=False)
                | Q(kind="overage", organization__isnull=False, expires_at__isnull=False)
                | Q(kind="overage", organization__isnull=True, expires_at__isnull=True)
                | (~Q(kind__in=["promotional", "overage"]) & Q(expires_at__isnull=True)),
            ),
            # Also finds the three standing accounts of a wallet.
            models.UniqueConstraint(
                name="account_standing_once",
                fields=["organization", "kind"],
                condition=~Q(kind__in=["promotional", "overage"]),
            ),
            models.UniqueConstraint(
                name="account_overage_once_a_month",
                fields=["organization", "expires_at"],
                condition=Q(kind="overage", organization__isnull=False),
            ),
            models.UniqueConstraint(
                name="account_platform_once", fields=["kind"], condition=Q(organization__isnull=True)
            ),
        ]
        indexes = [
            # Books: what expires and still has something in it. Spent ones pile up and are never read.
            models.Index(
                fields=["organization", "expires_at"],
                name="account_expiring_left",
                condition=Q(kind__in=["promotional", "overage"], balance__gt=0),
            ),
        ]
        triggers = guards.account_triggers()

    def __str__(self) -> str:
        return f"{self.kind} of {self.organization_id or 'the platform'}"


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
        OVERAGE = "overage", "Overage of the month by contract"
        PURCHASE = "purchase", "Credits bought"
        PAY_REFUND = "pay_refund", "Payment refunded"
        DISPUTE = "dispute", "Payment disputed"
        DISPUTE_WON = "dispute_won", "Dispute decided for us"
        RECOVERY = "recovery", "Paid towards what is owed"
        INVOICE = "invoice", "Overage invoice paid"
        REFUND = "refund", "Charge refunded"
        ADJUSTMENT = "adjustment", "Adjusted"
        VOID = "void", "Voided"
        SLA_CREDIT = "sla_credit", "Credit for a missed target"

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
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="transactions")
    reverses = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="reversal")
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
            models.UniqueConstraint(
                name="transaction_one_grant_per_payment", fields=["payment"], condition=Q(kind="purchase")
            ),
            models.CheckConstraint(
                name="transaction_of_its_payment",
                condition=Q(
                    kind__in=["purchase", "pay_refund", "dispute", "dispute_won"], payment__isnull=False
                )
                | ~Q(kind__in=["purchase", "pay_refund", "dispute", "dispute_won"]),
            ),
            models.CheckConstraint(
                name="transaction_void_reverses",
                condition=Q(kind="void", reverses__isnull=False) | ~Q(kind="void") & Q(reverses__isnull=True),
            ),
            models.CheckConstraint(
                name="transaction_refund_of_charge",
                condition=Q(kind="refund", charge__isnull=False) | ~Q(kind="refund"),
            ),
        ]
        indexes = [
            # The statement of an organization, newest first, page by page.
            models.Index(F("organization"), F("id").desc(), name="transaction_newest_first"),
            # The revenue pages read a span of days over all organizations; rows come in the order of time.
            BrinIndex(fields=["at"], autosummarize=True, name="transaction_by_time"),
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

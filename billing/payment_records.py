"""Money that customers pay: payments, what the provider told about them, refunds, automatic top-up.

What the database refuses here is in payment_guards.py.
"""

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing import payment_guards

WRITTEN = r"\S"


class PaymentCustomer(models.Model):
    """How a provider knows an organization, and the method that automatic top-up may charge."""

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="payment_customers"
    )
    provider = models.CharField(max_length=20)
    provider_id = models.CharField(max_length=200)
    method_id = models.CharField(max_length=200, blank=True, default="")  # empty: none saved
    method_label = models.CharField(max_length=80, blank=True, default="")  # such as "Visa ending in 4242"
    method_at = models.DateTimeField(
        null=True
    )  # of the charge that it was kept from: a later one replaces it
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="payment_customer_one_per_provider", fields=["organization", "provider"]
            ),
            models.UniqueConstraint(name="payment_customer_once", fields=["provider", "provider_id"]),
        ]


class Payment(models.Model):
    """One purchase of credits. When it is paid, exactly one ledger transaction grants its credits."""

    class State(models.TextChoices):
        CREATED = "created", "Created"
        PENDING = "pending", "Waiting for the payer"
        PAID = "paid", "Paid"
        PARTLY_REFUNDED = "partly_refunded", "Partly refunded"
        REFUNDED = "refunded", "Refunded"
        DISPUTED = "disputed", "Disputed"
        LOST = "lost", "Dispute lost"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Expired"

    class Purpose(models.TextChoices):
        CHECKOUT = "checkout", "Bought"
        AUTO_TOP_UP = "auto_top_up", "Automatic top-up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="payments"
    )
    provider = models.CharField(max_length=20)  # stripe or sandbox
    # Both are set once, when the provider has told them. What refunds and disputes name is the second.
    provider_id = models.CharField(max_length=200, blank=True, default="")  # the checkout session's
    provider_payment_id = models.CharField(max_length=200, blank=True, default="")
    purpose = models.CharField(max_length=12, choices=Purpose.choices, default=Purpose.CHECKOUT)
    pack = models.ForeignKey("billing.CreditPack", on_delete=models.PROTECT, related_name="payments")
    credits_micro = models.BigIntegerField()
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=16, choices=State.choices, default=State.CREATED)
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)  # of the checkout page
    paid_at = models.DateTimeField(null=True)
    checkout_url = models.TextField(blank=True, default="")
    receipt_url = models.TextField(blank=True, default="")
    invoice_url = models.TextField(blank=True, default="")
    failure_code = models.CharField(max_length=80, blank=True, default="")
    failure_message = models.TextField(blank=True, default="")
    asked_at = models.DateTimeField(null=True)  # when the sweep last asked the provider about it

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="payment_once_at_provider",
                fields=["provider", "provider_id"],
                condition=~Q(provider_id=""),
            ),
            models.UniqueConstraint(
                name="payment_once_as_paid_at_provider",
                fields=["provider", "provider_payment_id"],
                condition=~Q(provider_payment_id=""),
            ),
            models.UniqueConstraint(name="payment_idempotent", fields=["organization", "idempotency_key"]),
            # Two requests that run dry at once make one automatic top-up.
            models.UniqueConstraint(
                name="payment_one_top_up_at_a_time",
                fields=["organization"],
                condition=Q(purpose="auto_top_up", state__in=["created", "pending"]),
            ),
            models.CheckConstraint(
                name="payment_amounts_positive", condition=Q(credits_micro__gt=0, amount_cents__gt=0)
            ),
            models.CheckConstraint(
                name="payment_purpose_known", condition=Q(purpose__in=["checkout", "auto_top_up"])
            ),
            models.CheckConstraint(
                name="payment_paid_at_once_paid",
                condition=Q(state__in=["created", "pending", "failed", "expired"], paid_at__isnull=True)
                | Q(
                    state__in=["paid", "partly_refunded", "refunded", "disputed", "lost"],
                    paid_at__isnull=False,
                ),
            ),
        ]
        indexes = [
            # The purchases page, and the month's automatic top-ups against their cap.
            models.Index(F("organization"), F("created_at").desc(), name="payment_newest_first"),
            # The sweep: those whose end is not known.
            models.Index(
                fields=["created_at"],
                name="payment_unsettled",
                condition=Q(state__in=["created", "pending", "failed"]),
            ),
        ]
        triggers = payment_guards.payment_triggers()


class PaymentEvent(models.Model):
    """What a provider told, once per event of theirs however often and in whatever order it came."""

    class Outcome(models.TextChoices):
        RECEIVED = "received", "Received"
        APPLIED = "applied", "Applied"
        NO_CHANGE = "no_change", "Changed nothing"  # late or out of order: the payment is further already
        FOREIGN = "foreign", "Not ours"
        REJECTED = "rejected", "Contradicts our record"

    provider = models.CharField(max_length=20)
    provider_event_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=80)  # the provider's word for it
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="events")
    payload_digest = models.CharField(max_length=64)  # sha256 of the body, hex
    told_at = models.DateTimeField(null=True)  # the provider's clock
    received_at = models.DateTimeField(db_default=Now())
    deliveries = models.PositiveIntegerField(default=1)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.RECEIVED)
    detail = models.JSONField(default=dict)  # what was read from it; no personal data

    class Meta:
        constraints = [
            models.UniqueConstraint(name="payment_event_once", fields=["provider", "provider_event_id"]),
            models.CheckConstraint(
                name="payment_event_digest", condition=Q(payload_digest__regex=r"^[0-9a-f]{64}$")
            ),
            models.CheckConstraint(
                name="payment_event_outcome_known",
                condition=Q(outcome__in=["received", "applied", "no_change", "foreign", "rejected"]),
            ),
        ]
        triggers = payment_guards.event_triggers()


class Refund(models.Model):
    """Money back for credits of a payment that were not spent. Its credits leave the wallet when it is asked for."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SUCCEEDED = "succeeded", "Refunded"
        FAILED = "failed", "Failed"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    credits_micro = models.BigIntegerField()
    amount_cents = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    reason = models.TextField()
    idempotency_key = models.CharField(max_length=200)
    provider_refund_id = models.CharField(max_length=200, blank=True, default="")  # set once
    requested_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    approved_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    transaction = models.OneToOneField(
        "billing.Transaction", on_delete=models.PROTECT, related_name="refund_of_payment"
    )
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)  # when the sweep last asked the provider about it

    class Meta:
        constraints = [
            models.UniqueConstraint(name="refund_idempotent", fields=["payment", "idempotency_key"]),
            models.UniqueConstraint(
                name="refund_once_at_provider",
                fields=["provider_refund_id"],
                condition=~Q(provider_refund_id=""),
            ),
            models.CheckConstraint(
                name="refund_amounts", condition=Q(credits_micro__gt=0, amount_cents__gt=0)
            ),
            models.CheckConstraint(name="refund_reason_written", condition=Q(reason__regex=WRITTEN)),
            models.CheckConstraint(
                name="refund_not_self_approved",
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")),
            ),
        ]
        triggers = payment_guards.refund_triggers()


class AutoTopUp(models.Model):
    """Buying by itself when the balance runs low: the pack, the threshold, and how much a month at most."""

    class State(models.TextChoices):
        ON = "on", "On"
        OFF = "off", "Off"
        PAUSED = "paused", "Paused after failures"

    organization = models.OneToOneField(
        "accounts.Organization", on_delete=models.PROTECT, primary_key=True, related_name="auto_top_up"
    )
    customer = models.ForeignKey(PaymentCustomer, on_delete=models.PROTECT, related_name="+")
    pack_slug = models.SlugField(max_length=40)
    threshold_micro = models.BigIntegerField()
    monthly_cap_cents = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OFF)
    consecutive_failures = models.PositiveSmallIntegerField(default=0)
    last_failure = models.TextField(blank=True, default="")
    failed_at = models.DateTimeField(null=True)  # of the last failure: the next try waits
    changed_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="auto_top_up_figures", condition=Q(threshold_micro__gte=0, monthly_cap_cents__gt=0)
            ),
            models.CheckConstraint(name="auto_top_up_state", condition=Q(state__in=["on", "off", "paused"])),
        ]

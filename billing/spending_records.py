"""What a customer may spend, and what they are told about it: budgets, contracts and their invoices, notices."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing import credit_guards

WRITTEN = r"\S"


class Budget(models.Model):
    """A monthly amount that an organization sets itself, a member or a key: a soft alert, and a hard stop if wished.

    All that is charged counts, from whatever bucket it is paid, and what is held counts until it is released.
    """

    class Scope(models.TextChoices):
        ORGANIZATION = "organization", "The whole organization"
        MEMBER = "member", "A member"
        KEY = "key", "An API key"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="budgets"
    )
    scope = models.CharField(max_length=12, choices=Scope.choices)
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    amount_micro = models.BigIntegerField()
    soft_percent = models.PositiveSmallIntegerField(default=80)
    hard_stop = models.BooleanField(default=True)
    changed_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="budget_of_its_scope",
                condition=Q(scope="organization", user__isnull=True, api_key__isnull=True)
                | Q(scope="member", user__isnull=False, api_key__isnull=True)
                | Q(scope="key", user__isnull=True, api_key__isnull=False),
            ),
            models.CheckConstraint(
                name="budget_figures",
                condition=Q(amount_micro__gte=0, soft_percent__gte=1, soft_percent__lte=100),
            ),
            # Also what every decision looks up.
            models.UniqueConstraint(
                name="budget_of_organization_once",
                fields=["organization"],
                condition=Q(scope="organization", removed_at__isnull=True),
            ),
            models.UniqueConstraint(
                name="budget_of_member_once",
                fields=["organization", "user"],
                condition=Q(scope="member", removed_at__isnull=True),
            ),
            models.UniqueConstraint(
                name="budget_of_key_once",
                fields=["organization", "api_key"],
                condition=Q(scope="key", removed_at__isnull=True),
            ),
        ]
        triggers = credit_guards.budget_triggers()


class BudgetMonth(models.Model):
    """How much of a budget a month has used: charged, or held for open work. Counted under the lock on the wallet."""

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="months", db_index=False)
    month = models.DateField()  # its first day, UTC
    used_micro = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="budget_month_once", fields=["budget", "month"]),
            models.CheckConstraint(name="budget_month_not_negative", condition=Q(used_micro__gte=0)),
        ]


class OverageContract(models.Model):
    """What an enterprise customer may use above its credits and pays afterwards. The newest row in force counts.

    A limit of 0 ends the entitlement.
    """

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="overage_contracts"
    )
    limit_month_micro = models.BigIntegerField()
    effective_from = models.DateTimeField()
    author = models.CharField(max_length=254)
    approved_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Also the look-up of a decision: the newest contract of an organization that is in force.
            models.UniqueConstraint(
                name="overage_contract_one_per_moment", fields=["organization", "effective_from"]
            ),
            models.CheckConstraint(
                name="overage_contract_limit_not_negative", condition=Q(limit_month_micro__gte=0)
            ),
            models.CheckConstraint(
                name="overage_contract_reason_written", condition=Q(reason__regex=WRITTEN)
            ),
        ]
        triggers = credit_guards.overage_contract_triggers()


class Invoice(models.Model):
    """What a month's overage comes to, once all of its work is settled."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        VOID = "void", "Void"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="invoices"
    )
    contract = models.ForeignKey(OverageContract, on_delete=models.PROTECT, related_name="invoices")
    account = models.OneToOneField("billing.Account", on_delete=models.PROTECT, related_name="invoice")
    month = models.DateField()  # its first day, UTC
    amount_micro = models.BigIntegerField()
    amount_cents = models.BigIntegerField()
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    issued_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    approved_by = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True, default="")
    transaction = models.OneToOneField(
        "billing.Transaction", null=True, on_delete=models.PROTECT, related_name="invoice_paid"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(name="invoice_one_per_month", fields=["organization", "month"]),
            models.CheckConstraint(
                name="invoice_amounts", condition=Q(amount_micro__gte=0, amount_cents__gte=0)
            ),
            models.CheckConstraint(
                name="invoice_not_self_approved",
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("settled_by")),
            ),
            models.CheckConstraint(
                name="invoice_settled_with_time",
                condition=Q(state="open", settled_at__isnull=True)
                | Q(state__in=["paid", "void"], settled_at__isnull=False),
            ),
        ]
        triggers = credit_guards.invoice_triggers()


class RateRefusals(models.Model):
    """Requests refused alike by the rate limit or by the text filter, one row per organization, key, minute and cause:
    a flood writes no flood of rows.

    `decision` explains the first of them; the rest only count.
    """

    RATE = "rate_limit_exceeded"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="rate_refusals", db_index=False
    )
    api_key = models.ForeignKey("accounts.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    minute = models.DateTimeField()
    cause = models.CharField(max_length=120, db_default=RATE)  # the code of the refusal, and what it was for
    refused = models.PositiveIntegerField(default=1)
    decision = models.ForeignKey("billing.Decision", on_delete=models.PROTECT, related_name="refusals")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="rate_refusals_once",
                fields=["organization", "minute", "api_key", "cause"],
                nulls_distinct=False,
            ),
            models.CheckConstraint(name="rate_refusals_counted", condition=Q(refused__gt=0)),
        ]


class Notice(models.Model):
    """Something a customer is told once: `key` names the occasion, such as a budget's month and threshold."""

    class Kind(models.TextChoices):
        LOW_BALANCE = "low_balance", "Low balance"
        BUDGET_ALERT = "budget_alert", "Budget alert"
        BUDGET_REACHED = "budget_reached", "Budget reached"
        TOP_UP_DONE = "top_up_done", "Automatic top-up"
        TOP_UP_FAILED = "top_up_failed", "Automatic top-up failed"
        PAYMENT_DISPUTED = "payment_disputed", "Payment disputed"
        SLA_CREDIT = "sla_credit", "Credit for a late clip"
        INVOICE = "invoice", "Invoice"
        WEBHOOK_DISABLED = "webhook_disabled", "Webhook switched off"

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, related_name="notices"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    key = models.CharField(max_length=200)
    message = models.TextField()
    link = models.CharField(max_length=200, blank=True, default="")  # a path of this site
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())
    read_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="notice_once", fields=["organization", "kind", "key"]),
            models.CheckConstraint(name="notice_message_written", condition=Q(message__regex=WRITTEN)),
        ]
        indexes = [
            models.Index(F("organization"), F("at").desc(), name="notice_newest_first"),
            # The badge above every page.
            models.Index(fields=["organization"], name="notice_unread", condition=Q(read_at__isnull=True)),
        ]
        triggers = credit_guards.notice_triggers()

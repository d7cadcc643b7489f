"""Overage by contract: how much an organization may use above its credits, and invoices that were paid."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import Organization, StaffRole, User
from billing import invoices, ledger, pricing
from billing.actions import limits
from billing.actions.adjustments import buckets
from billing.models import Invoice, OverageContract

FURTHEST = timedelta(days=400)


@dataclass(kw_only=True)
class SetOverageContract(Approvable):
    """Another limit a month for an organization, from a moment on; 0 ends it. None is at once."""

    name: ClassVar[str] = "overage.set"
    title: ClassVar[str] = "Set the overage contract"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    organization: Organization
    limit_month_micro: int
    effective_from: datetime | None = None

    @property
    def target(self) -> str:
        return f"organization:{self.organization.slug}"

    def second_person(self) -> str | None:
        return limits.above(self.limit_month_micro)

    def preview(self) -> Preview:
        start = self._check()
        before, after = self._limit_at(start), self.limit_month_micro
        when = f"from {start:%Y-%m-%d %H:%M} UTC on" if self.effective_from else "at once"
        sentence = (
            f"{self.organization.name} may use {pricing.in_credits(after)} credits a month above its own, {when}; it "
            f"was {pricing.in_credits(before)}. What is used is owed by the month's invoice."
        )
        return Preview({"limit_month_micro": before}, {"limit_month_micro": after}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if self.approved_by is None and (limit := self.second_person()):
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        start = self._check()
        ledger.open_books(self.organization.pk)
        before = self._limit_at(start)
        try:
            with transaction.atomic():
                made = OverageContract.objects.create(
                    organization=self.organization,
                    limit_month_micro=self.limit_month_micro,
                    effective_from=start,
                    author=actor.email,
                    approved_by=self.approved_by,
                    reason=reason.strip(),
                )
        except IntegrityError as clash:
            if "overage_contract_one_per_moment" not in str(clash):
                raise
            message = "There is a contract from that very moment on already. Choose another."
            raise ApiError("already_decided", message, param="effective_from") from clash
        after = {
            "limit_month_micro": self.limit_month_micro,
            "contract": made.pk,
            "effective_from": start.isoformat(),
        }
        return {"before": {"limit_month_micro": before}, "after": after, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Set the contract anew instead.")

    def payload(self) -> dict:
        start = self.effective_from.astimezone(UTC).isoformat() if self.effective_from else None
        limit = self.limit_month_micro
        return {"organization": self.organization.pk, "limit_month_micro": limit, "effective_from": start}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        start = payload["effective_from"]
        return cls(
            organization=Organization.objects.get(pk=payload["organization"]),
            limit_month_micro=payload["limit_month_micro"],
            effective_from=datetime.fromisoformat(start) if start else None,
        )

    def _check(self) -> datetime:
        now = timezone.now()
        if not 0 <= self.limit_month_micro <= ledger.MOST_AT_ONCE:
            raise ApiError("invalid_value", "Give the credits a month, 0 or more.", param="limit")
        if self.effective_from is None:
            return now
        if not now <= self.effective_from <= now + FURTHEST:
            message = f"Choose a moment within the next {FURTHEST.days} days, in UTC, or leave it empty."
            raise ApiError("invalid_value", message, param="effective_from")
        return self.effective_from

    def _limit_at(self, start: datetime) -> int:
        rows = OverageContract.objects.filter(organization=self.organization, effective_from__lte=start)
        return rows.order_by("-effective_from").values_list("limit_month_micro", flat=True).first() or 0


@dataclass(kw_only=True)
class MarkInvoicePaid(Approvable):
    """The money of an overage invoice arrived outside of Backlot."""

    name: ClassVar[str] = "invoice.paid"
    title: ClassVar[str] = "Mark an invoice as paid"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    organization: Organization
    invoice: Invoice

    @property
    def target(self) -> str:
        return f"invoice:{self.invoice.pk}"

    def second_person(self) -> str | None:
        return limits.above(self.invoice.amount_micro)

    def preview(self) -> Preview:
        money = f"${self.invoice.amount_cents / 100:,.2f}"
        sentence = f"The invoice of {self.invoice.month:%Y-%m} over {money} counts as paid."
        return Preview({"state": self.invoice.state}, {"state": Invoice.State.PAID}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if self.approved_by is None and (limit := self.second_person()):
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        ledger.open_books(self.organization.pk)
        before = buckets(self.organization.pk)
        paid = invoices.mark_paid(
            self.invoice.pk,
            by=actor,
            note=reason.strip(),
            at=timezone.now(),
            approved_by=self.approved_by,
        )
        after = {**buckets(self.organization.pk), "state": paid.state, "transaction": paid.transaction_id}
        return {"before": {**before, "state": self.invoice.state}, "after": after, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "An invoice that is paid stays paid. Adjust the credits instead.")

    def payload(self) -> dict:
        return {"invoice": self.invoice.pk}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        invoice = Invoice.objects.select_related("organization").get(pk=payload["invoice"])
        return cls(organization=invoice.organization, invoice=invoice)

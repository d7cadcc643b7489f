"""Money back for a payment: unspent credits leave the wallet at once, then the provider is asked."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar, Self

from django.db import transaction
from django.utils import timezone

from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import Organization, StaffRole, User
from billing import ledger, pricing, purchases
from billing.actions import limits
from billing.actions.adjustments import PREVIEW, buckets
from billing.models import Payment, Refund
from billing.payments import provider, refunds


@dataclass(kw_only=True)
class RefundPayment(Approvable):
    """Pay so many unspent credits of a payment back. `key` is made with the form."""

    name: ClassVar[str] = "payment.refund"
    title: ClassVar[str] = "Refund a payment"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    organization: Organization
    key: str
    payment: Payment
    micro: int

    @property
    def target(self) -> str:
        return f"payment:{self.payment.pk}"

    def second_person(self) -> str | None:
        return limits.above_with_the_last_day(self.organization.pk, self.micro)

    def preview(self) -> Preview:
        with transaction.atomic():
            ledger.open_books(self.organization.pk)
            before = buckets(self.organization.pk)
            refund = self._begin(None, PREVIEW, timezone.now())
            after = buckets(self.organization.pk)
            transaction.set_rollback(True)
        money = f"{refund.amount_cents / 100:,.2f} {self.payment.currency.upper()}"
        taken = pricing.in_credits(self.micro)
        sentence = f"{money} go back to who paid, and {taken} credits leave {self.organization.name} at once."
        return Preview(before, after, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        ledger.open_books(self.organization.pk)
        if Refund.objects.filter(payment=self.payment, idempotency_key=self.key).exists():
            raise ApiError("already_decided", "This refund was made already. It was not made twice.")
        if self.approved_by is None and (limit := self.second_person()):
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        before, at = buckets(self.organization.pk), timezone.now()
        refund = self._begin(actor, reason, at)
        transaction.on_commit(partial(refunds.send, refund, at=at))
        after = {
            **buckets(self.organization.pk),
            "refund": refund.pk,
            "amount_cents": refund.amount_cents,
            "transaction": refund.transaction_id,
        }
        return {"before": before, "after": after, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Money that was paid back can't be called in again.")

    def payload(self) -> dict:
        return {
            "organization": self.organization.pk,
            "key": self.key,
            "payment": str(self.payment.pk),
            "micro": self.micro,
        }

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        payment = Payment.objects.select_related("organization").get(pk=payload["payment"])
        return cls(
            organization=payment.organization, key=payload["key"], payment=payment, micro=payload["micro"]
        )

    def _begin(self, actor: User | None, reason: str, at: datetime) -> Refund:
        if self.payment.organization_id != self.organization.pk:
            raise ApiError("not_found", "There is no such payment of this organization.", param="payment")
        provider.named(self.payment.provider)  # refused where nobody could be asked to pay it back
        return purchases.begin_refund(
            self.payment.pk,
            self.micro,
            reason=reason,
            idempotency_key=self.key,
            requested_by=actor,
            at=at,
            approved_by=self.approved_by,
        )

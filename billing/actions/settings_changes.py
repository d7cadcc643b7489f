"""Changing what billing admins may set about billing: a newer row, in force at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from django.utils import timezone

from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing import billing_settings, ledger, pricing
from billing.models import BillingSettings

FIELDS = ("approval_above_micro", "low_balance_micro", "sla_credit_days", "reads_per_minute_factor")


@dataclass
class ChangeSettings(Approvable):
    """New settings for all. A higher limit for one person alone takes two."""

    name: ClassVar[str] = "billing_settings.change"
    title: ClassVar[str] = "Change billing settings"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    approval_above_micro: int
    low_balance_micro: int
    sla_credit_days: int
    reads_per_minute_factor: int

    @property
    def target(self) -> str:
        return "billing_settings:all"

    def second_person(self) -> str | None:
        now = billing_settings.in_force(timezone.now())
        if self.approval_above_micro <= now.approval_above_micro:
            return None
        return "A higher limit for one billing admin alone takes a second one."

    def preview(self) -> Preview:
        self._check()
        now = _values(billing_settings.in_force(timezone.now()))
        limit = pricing.in_credits(self.approval_above_micro)
        return Preview(now, self.payload(), f"More than {limit} credits will take a second billing admin.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        if self.approved_by is None and (limit := self.second_person()):
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        at = timezone.now()
        before = _values(billing_settings.in_force(at))
        BillingSettings.objects.create(
            **self.payload(),
            effective_from=at,
            author=actor.email,
            approved_by=self.approved_by,
            reason=reason.strip(),
        )
        return {"before": before, "after": self.payload(), "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Change the settings anew instead.")

    def payload(self) -> dict:
        return {field: getattr(self, field) for field in FIELDS}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        return cls(**payload)

    def _check(self) -> None:
        for field in FIELDS[:2]:
            if not 0 <= getattr(self, field) <= ledger.MOST_AT_ONCE:
                raise ApiError("invalid_value", "Give an amount of credits, 0 or more.", param=field)
        for field, most in zip(FIELDS[2:], (3650, 1000), strict=True):
            if not 1 <= getattr(self, field) <= most:
                raise ApiError("invalid_value", f"Give a whole number from 1 to {most}.", param=field)


def _values(row: BillingSettings) -> dict:
    return {field: getattr(row, field) for field in FIELDS}

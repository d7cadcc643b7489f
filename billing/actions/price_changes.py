"""Another price of a unit, from a moment on: previewed on last week's usage, taken back until it is in force."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing import price_preview, prices, pricing
from billing.models import Operation, PriceVersion

SOONEST, FURTHEST = timedelta(minutes=1), timedelta(days=400)
MOST_MICRO = 10**12  # a million credits a unit is a typing error


@dataclass
class SchedulePrice(Action):
    """Let `operation` cost `micro_per_unit` from `effective_from` on. Quotes that were given before stay."""

    name: ClassVar[str] = "price.schedule"
    title: ClassVar[str] = "Change a price"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN
    REACHES: ClassVar[timedelta] = FURTHEST  # how far back a change that is still to come may have been made

    operation: str
    micro_per_unit: int = 0
    effective_from: datetime | None = None

    @property
    def target(self) -> str:
        return f"price:{self.operation}"

    def preview(self) -> Preview:
        """What last week would have brought at this price; `after` carries the whole comparison."""
        start = self._check()
        now = timezone.now()
        then = prices.in_force([self.operation], start)[self.operation]
        effect = price_preview.effect(self.operation, self.micro_per_unit, now)
        what, old, new = self._words(then.micro_per_unit)
        sentence = (
            f"{what} goes from {old} to {new} credits a unit from {start:%Y-%m-%d %H:%M} UTC on. "
            f"{price_preview.in_words(effect)}"
        )
        return Preview({"micro_per_unit": then.micro_per_unit}, asdict(effect), sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        start = self._check()
        if expires_at is not None:
            message = "A price has no expiry. Schedule the next one instead."
            raise ApiError("invalid_value", message, param="expires_at")
        then = prices.in_force([self.operation], start)[self.operation]
        if then.micro_per_unit == self.micro_per_unit:
            raise ApiError("invalid_value", "That is the price already. Nothing was changed.", param="price")
        made = self._insert(actor, reason, start)
        return {
            "before": {"micro_per_unit": then.micro_per_unit, "price": then.pk},
            "after": {
                "micro_per_unit": self.micro_per_unit,
                "price": made.pk,
                "effective_from": start.isoformat(),
            },
            "undo": {"price": made.pk},
        }

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Take a price back that is not in force yet; the database refuses it for any other."""
        row = PriceVersion.objects.filter(pk=undo["price"], effective_from__gt=Now() + timedelta(seconds=10))
        price = row.select_for_update().first()
        if price is None:
            message = "This price is in force, or was taken back before. Schedule another one instead."
            raise ApiError("invalid_value", message, param="entry")
        told = {
            "micro_per_unit": price.micro_per_unit,
            "price": price.pk,
            "effective_from": price.effective_from.isoformat(),
        }
        price.delete()
        return {"before": told, "after": {"price": None, "taken_back": told["price"]}, "undo": None}

    def _check(self) -> datetime:
        now = timezone.now()
        if self.operation not in Operation.values:
            raise ApiError("invalid_value", "Choose what the price is for.", param="operation")
        if not 0 <= self.micro_per_unit <= MOST_MICRO:
            message = "Give the credits a unit costs, from 0 to 1,000,000."
            raise ApiError("invalid_value", message, param="price")
        start = self.effective_from
        if start is None or not now + SOONEST <= start <= now + FURTHEST:
            message = f"Choose a moment from a minute to {FURTHEST.days} days ahead, in UTC."
            raise ApiError("invalid_value", message, param="effective_from")
        return start.astimezone(UTC)

    def _insert(self, actor: User, reason: str, start: datetime) -> PriceVersion:
        try:
            with transaction.atomic():
                return PriceVersion.objects.create(
                    operation=self.operation,
                    micro_per_unit=self.micro_per_unit,
                    effective_from=start,
                    author=actor.email,
                    reason=reason.strip(),
                )
        except IntegrityError as clash:
            if "price_one_per_moment" not in str(clash):
                raise
            message = (
                "There is a price from that very moment on already. Take it back first, or choose another."
            )
            raise ApiError("already_decided", message, param="effective_from") from clash

    def _words(self, old: int) -> tuple[str, str, str]:
        what = Operation(self.operation).label
        return what, pricing.in_credits(old), pricing.in_credits(self.micro_per_unit)

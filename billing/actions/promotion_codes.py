"""Making promotion codes, and switching them off."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing import ledger, pricing
from billing.actions import limits
from billing.models import PromotionCode
from billing.promotions import normal

LONGEST_DAYS = 730
MOST_REDEMPTIONS = 1_000_000
FORM = "A code has 3 to 40 letters, digits and hyphens, and begins with a letter or digit."


@dataclass
class CreatePromotionCode(Approvable):
    """A code that gives so many credits to so many organizations. All it may give counts against the limit."""

    name: ClassVar[str] = "promotion.create"
    title: ClassVar[str] = "Create a promotion code"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    code: str
    micro: int
    last_days: int
    most: int
    valid_from: datetime
    valid_until: datetime

    def __post_init__(self) -> None:
        self.code = normal(self.code)

    @property
    def target(self) -> str:
        return f"promotion:{self.code}"

    def second_person(self) -> str | None:
        return limits.above(self.micro * self.most)

    def preview(self) -> Preview:
        self._check()
        each, all_of_it = pricing.in_credits(self.micro), pricing.in_credits(self.micro * self.most)
        sentence = (
            f"{self.code} gives {each} credits for {self.last_days} days to each of up to {self.most} organizations: "
            f"{all_of_it} credits at most. It can be redeemed from {_utc(self.valid_from)} until "
            f"{_utc(self.valid_until)}."
        )
        return Preview({}, {"most_micro": self.micro * self.most}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        try:
            with transaction.atomic():
                made = PromotionCode.objects.create(
                    code=self.code,
                    credits_micro=self.micro,
                    credits_last_days=self.last_days,
                    max_redemptions=self.most,
                    valid_from=self.valid_from,
                    valid_until=self.valid_until,
                    author=actor.email,
                    approved_by=self.approved_by,
                    reason=reason.strip(),
                )
        except IntegrityError as clash:
            if "billing_promotioncode_code_key" not in str(clash):
                raise
            raise ApiError(
                "already_decided", f"There is a code {self.code} already.", param="code"
            ) from clash
        return {"before": None, "after": {**self.payload(), "promotion": made.pk}, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Switch the code off instead.")

    def payload(self) -> dict:
        return {
            "code": self.code,
            "micro": self.micro,
            "last_days": self.last_days,
            "most": self.most,
            "valid_from": self.valid_from.astimezone(UTC).isoformat(),
            "valid_until": self.valid_until.astimezone(UTC).isoformat(),
        }

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        moments = {name: datetime.fromisoformat(payload[name]) for name in ("valid_from", "valid_until")}
        return cls(**{**payload, **moments})

    def _check(self) -> None:
        if not 3 <= len(self.code) <= 40 or not _is_code(self.code):
            raise ApiError("invalid_value", FORM, param="code")
        if not 0 < self.micro <= ledger.MOST_AT_ONCE:
            raise ApiError("invalid_value", "Give the credits as a number above 0.", param="credits")
        if not 1 <= self.last_days <= LONGEST_DAYS:
            message = f"The credits last 1 to {LONGEST_DAYS} days."
            raise ApiError("invalid_value", message, param="last_days")
        if not 1 <= self.most <= MOST_REDEMPTIONS:
            message = f"A code can be redeemed 1 to {MOST_REDEMPTIONS:,} times."
            raise ApiError("invalid_value", message, param="most")
        if self.valid_until <= max(self.valid_from, timezone.now()):
            message = "The last moment lies ahead, and after the first one."
            raise ApiError("invalid_value", message, param="valid_until")
        if self.valid_until - self.valid_from > timedelta(days=LONGEST_DAYS):
            message = f"A code is valid for {LONGEST_DAYS} days at most."
            raise ApiError("invalid_value", message, param="valid_until")
        if PromotionCode.objects.filter(code=self.code).exists():
            raise ApiError("already_decided", f"There is a code {self.code} already.", param="code")


@dataclass
class WithdrawPromotionCode(Action):
    """Switch a code off for good. What was redeemed stays."""

    name: ClassVar[str] = "promotion.withdraw"
    title: ClassVar[str] = "Switch a promotion code off"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    promotion: PromotionCode

    @property
    def target(self) -> str:
        return f"promotion:{self.promotion.code}"

    def preview(self) -> Preview:
        used = self.promotion.redemptions.count()
        sentence = (
            f"{self.promotion.code} can't be redeemed any more. Its {used} redemptions stay as they are."
        )
        return Preview({"withdrawn": False}, {"withdrawn": True}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        row = PromotionCode.objects.select_for_update().get(pk=self.promotion.pk)
        if row.withdrawn_at is not None:
            raise ApiError("already_decided", f"{row.code} is switched off already.")
        row.withdrawn_at = timezone.now()
        row.save(update_fields=["withdrawn_at"])
        return {
            "before": {"withdrawn_at": None},
            "after": {"withdrawn_at": row.withdrawn_at.isoformat(), "redemptions": row.redemptions.count()},
            "undo": None,
        }

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "A code that is off stays off. Make another one.")


def _is_code(text: str) -> bool:
    return text.isascii() and text[0].isalnum() and all(sign.isalnum() or sign == "-" for sign in text)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

"""How long a tier's files are kept, as a change that an operator makes."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, Tier, User
from generation.retention import expiry
from generation.retention.records import MOST_DAYS, FileRetention


@dataclass
class ChangeFileRetention(Action):
    """Keep the files of a tier's clips so many days, None: until deleted. Clips that are delivered keep their date."""

    name: ClassVar[str] = "retention.days"
    title: ClassVar[str] = "Change how long files are kept"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    tier: str
    days: int | None

    @property
    def target(self) -> str:
        return f"tier:{self.tier}"

    def preview(self) -> Preview:
        before = self._before()
        made = expiry.effect(self.tier, timezone.now())
        sentence = (
            f"Files of {self.tier} clips are kept {in_words(self.days)} after delivery instead of "
            f"{in_words(before)}. It counts for clips delivered from now on ({made} in the last 30 days); those that "
            "are delivered keep their date."
        )
        return Preview({"days": before}, {"days": self.days}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "This setting doesn't expire by itself.", param="expires_at")
        before = self._before(lock=True)
        self._write(self.days, actor, reason)
        undo = {"days": before, "set": self.days}
        return {"before": {"days": before}, "after": {"days": self.days}, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        row = FileRetention.objects.select_for_update().get(tier=self.tier)
        if row.days != undo["set"]:
            raise ApiError("invalid_value", "It was changed again since.", param="entry")
        self._write(undo["days"], actor, reason)
        return {"before": {"days": undo["set"]}, "after": {"days": undo["days"]}, "undo": None}

    def _before(self, *, lock: bool = False) -> int | None:
        if not Tier.objects.filter(pk=self.tier).exists():
            raise ApiError("not_found", "There is no such tier.")
        if self.days is not None and not 1 <= self.days <= MOST_DAYS:
            message = f"Give 1 to {MOST_DAYS:,} days, or none at all to keep files until they are deleted."
            raise ApiError("invalid_value", message, param="days")
        rows = FileRetention.objects.select_for_update() if lock else FileRetention.objects
        row = rows.filter(tier=self.tier).first()
        days = row.days if row else None
        if row is not None and days == self.days:
            raise ApiError("invalid_value", f"They are kept {in_words(days)} already.", param="days")
        return days

    def _write(self, days: int | None, actor: User, reason: str) -> None:
        values = {"days": days, "author": actor.email, "reason": reason}
        FileRetention.objects.update_or_create(tier_id=self.tier, defaults=values)


def in_words(days: int | None) -> str:
    if days is None:
        return "until they are deleted"
    return "1 day" if days == 1 else f"{days:,} days"

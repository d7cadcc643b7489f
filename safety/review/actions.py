"""What may be changed about review itself: who reviews what, how many must agree, how much one person may see."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import approvals
from accounts.actions import Action, Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from safety.models import ReviewClass, Reviewer, ReviewLimits, ReviewPolicy

ROLE = StaffRole.Role.TRUST_SAFETY
# field: (label, unit, least, most)
LIMITS = {
    "reveals_per_day": ("Clear looks a day", "items", 0, 1000),
    "minutes_per_day": ("Review a day", "minutes", 0, 600),
    "claim_minutes": ("A claim lasts", "minutes", 1, 60),
    "reveal_seconds": ("A clear look lasts", "seconds", 5, 120),
    "break_after_minutes": ("Break reminder after", "minutes", 5, 240),
}
POLICY = {
    "people": ("People who must agree", "people", 1, 2),
    "reveal": ("Clear frames on demand", "yes (1) or no (0)", 0, 1),
    "withhold_reported": ("Withheld once reported", "yes (1) or no (0)", 0, 1),
}


def register() -> None:
    approvals.register(GrantReviewer)


def label(review_class: str) -> str:
    return ReviewClass(review_class).label if review_class in ReviewClass.values else review_class


@dataclass
class GrantReviewer(Approvable):
    """Let somebody review a class. For child safety a second person has to agree."""

    name: ClassVar[str] = "reviewer.grant"
    title: ClassVar[str] = "Let somebody review"
    role: ClassVar[str] = ROLE

    email: str
    review_class: str
    decides_escalated: bool = False

    @property
    def target(self) -> str:
        return f"reviewer:{self.email}:{self.review_class}"

    def second_person(self) -> str | None:
        if self.review_class == ReviewClass.CHILD_SAFETY:
            return "Who reviews child safety is agreed by two people."
        return None

    def preview(self) -> Preview:
        person = self._person()
        more = ", escalated items too" if self.decides_escalated else ""
        sentence = f"{person.email} sees and decides items of {label(self.review_class).lower()}{more}."
        return Preview({}, {"person": person.email, "class": self.review_class}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError(
                "invalid_value", "A permission is withdrawn; it doesn't expire.", param="expires_at"
            )
        person = self._person()
        try:
            with transaction.atomic():
                row = Reviewer.objects.create(
                    person=person,
                    review_class=self.review_class,
                    decides_escalated=self.decides_escalated,
                    author=actor.email,
                    reason=reason.strip(),
                )
        except IntegrityError as clash:
            raise ApiError("already_decided", "They have this permission already.") from clash
        after = {"reviewer": row.pk, "class": self.review_class, "decides_escalated": self.decides_escalated}
        return {"before": {}, "after": after, "undo": {"reviewer": row.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        withdraw(undo["reviewer"], actor)
        return {"before": {"reviewer": undo["reviewer"]}, "after": {}, "undo": None}

    def payload(self) -> dict:
        return {"email": self.email, "class": self.review_class, "escalated": self.decides_escalated}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        return cls(payload["email"], payload["class"], payload["escalated"])

    def _person(self) -> User:
        if self.review_class not in ReviewClass.values:
            raise ApiError("invalid_value", "Choose a class.", param="class")
        person = User.objects.filter(email=self.email.strip().lower(), is_active=True).first()
        if person is None or not StaffRole.objects.filter(user=person, role=ROLE).exists():
            message = "Nobody with this address has the role trust & safety. Give them the role first."
            raise ApiError("invalid_value", message, param="email")
        return person


@dataclass
class WithdrawReviewer(Action):
    """Take a permission away; what the person has claimed goes back to the queue when their claim ends."""

    name: ClassVar[str] = "reviewer.withdraw"
    title: ClassVar[str] = "Take a permission away"
    role: ClassVar[str] = ROLE

    reviewer_id: int

    @property
    def target(self) -> str:
        return f"reviewer:{self.reviewer_id}"

    def preview(self) -> Preview:
        row = Reviewer.objects.select_related("person").filter(pk=self.reviewer_id).first()
        if row is None:
            raise ApiError("not_found", "There is no such permission.")
        who = row.person.email if row.person else "Everybody with the role"
        sentence = f"{who} no longer sees items of {label(row.review_class).lower()}."
        return Preview({"class": row.review_class}, {}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "Grant it again instead of an expiry.", param="expires_at")
        row = withdraw(self.reviewer_id, actor)
        before = {"person": row.person.email if row.person else None, "class": row.review_class}
        return {"before": before, "after": {}, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Grant the permission again instead.")


@dataclass
class ChangeReviewRow(Action):
    """One field of a class's policy, or of the limits of reviewers."""

    name: ClassVar[str] = "review.setting"
    title: ClassVar[str] = "Change a review setting"
    role: ClassVar[str] = ROLE

    row: str  # a class, or "limits"
    field: str
    value: str

    @property
    def target(self) -> str:
        return f"review-setting:{self.row}:{self.field}"

    def preview(self) -> Preview:
        found, value = self._found(), self._value()
        before = getattr(found, self.field)
        words = self._fields()[self.field]
        sentence = f"{label(self.row).capitalize()}: {words[0].lower()} {int(before)} → {value} {words[1]}."
        return Preview({self.field: int(before)}, {self.field: value}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "Undo it instead of an expiry.", param="expires_at")
        before = int(getattr(self._found(), self.field))
        self._write(self._value(), actor, reason)
        undo = {"value": str(before), "set": str(self._value())}
        return {"before": {self.field: before}, "after": {self.field: self._value()}, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        now = int(getattr(self._found(), self.field))
        if str(now) != undo["set"]:
            raise ApiError("invalid_value", "This was changed again since.", param="entry")
        self._write(int(undo["value"]), actor, reason)
        return {"before": {self.field: now}, "after": {self.field: int(undo["value"])}, "undo": None}

    def _fields(self) -> dict:
        return LIMITS if self.row == "limits" else POLICY

    def _found(self) -> ReviewPolicy | ReviewLimits:
        rows = ReviewLimits.objects if self.row == "limits" else ReviewPolicy.objects
        found = rows.select_for_update() if transaction.get_connection().in_atomic_block else rows
        row = found.filter(pk=1 if self.row == "limits" else self.row).first()
        if row is None or self.field not in self._fields():
            raise ApiError("not_found", "There is no such setting.")
        return row

    def _value(self) -> int:
        words, unit, least, most = self._fields()[self.field]
        if not self.value.isdecimal() or not least <= int(self.value) <= most:
            raise ApiError("invalid_value", f"{words} lies between {least} and {most} {unit}.", param="value")
        return int(self.value)

    def _write(self, value: int, actor: User, reason: str) -> None:
        found = self._found()
        boolean = isinstance(getattr(found, self.field), bool)
        setattr(found, self.field, bool(value) if boolean else value)
        found.author, found.reason = actor.email, reason.strip()
        try:
            with transaction.atomic():
                found.save()
        except IntegrityError as refusal:
            message = (
                "Child safety always takes two people, is never shown clear, and is withheld once reported."
            )
            raise ApiError("invalid_value", message, param="value") from refusal


def withdraw(reviewer_id: int, actor: User) -> Reviewer:
    """Raises `ApiError` where there is no such permission (any more)."""
    rows = Reviewer.objects.filter(pk=reviewer_id, withdrawn_at=None)
    if not rows.update(withdrawn_at=Now(), withdrawn_by=actor.email):
        raise ApiError("not_found", "There is no such permission any more.")
    return Reviewer.objects.select_related("person").get(pk=reviewer_id)

"""What billing admins change about the gate at sign-up: its policy, cohorts and their codes. Each is one action."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts import gate
from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import Cohort, InvitationCode, SignUpPolicy, StaffRole, User

MOST_USES = 10_000
MOST_DAYS = 365
MOST_CREDIT_MICRO = 10_000 * 1_000_000  # per organization; more is for a grant of its own, with its approval
MICRO = 1_000_000


@dataclass(frozen=True)
class SetSignUpPolicy(Action):
    """Who may sign up, and how many organizations a UTC day takes. Undo puts the rules before back in force."""

    name: ClassVar[str] = "sign_up.policy"
    title: ClassVar[str] = "Change who may sign up"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    invite_only: bool = False
    daily_cap: int | None = None

    @property
    def target(self) -> str:
        return "sign_up:policy"

    def preview(self) -> Preview:
        self._check()
        before, after = _rules(gate.policy()), {"invite_only": self.invite_only, "daily_cap": self.daily_cap}
        sentence = f"From the next sign-up on: {_in_words(after)}. Until now: {_in_words(before)}."
        return Preview(before, after, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        if expires_at is not None:
            raise ApiError("invalid_value", "This setting stays until it is changed.", param="expires_at")
        return _set_policy(self.invite_only, self.daily_cap, actor, reason)

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        _lock_policies()
        if gate.policy().pk != undo["policy"]:
            raise ApiError(
                "invalid_value", "The setting was changed again since: change it anew instead.", "entry"
            )
        return {**_set_policy(undo["invite_only"], undo["daily_cap"], actor, reason), "undo": None}

    def _check(self) -> None:
        if self.daily_cap is not None and not 0 <= self.daily_cap <= 1_000_000:
            raise ApiError("invalid_value", "A daily cap is 0 to 1,000,000, or empty for none.", "daily_cap")


@dataclass(frozen=True)
class OpenCohort(Action):
    """A new cohort, with the promotional credit that its organizations begin with. Undo closes it."""

    name: ClassVar[str] = "cohort.open"
    title: ClassVar[str] = "Open a cohort"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    cohort_name: str
    note: str = ""
    credit_micro: int = 0
    credit_days: int = 90

    @property
    def target(self) -> str:
        return f"cohort:{self.cohort_name}"

    def preview(self) -> Preview:
        self._check()
        gift = f"{self.credit_micro / MICRO:g} promotional credits for {self.credit_days} days"
        what = gift if self.credit_micro else "no credit"
        return Preview({}, self._told(), f"Organizations that join by {self.cohort_name} begin with {what}.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        try:
            with transaction.atomic():
                cohort = Cohort.objects.create(
                    name=self.cohort_name.strip(),
                    note=self.note.strip(),
                    credit_micro=self.credit_micro,
                    credit_days=self.credit_days,
                    created_by=actor,
                )
        except IntegrityError as clash:
            if "cohort_name_once" not in str(clash):
                raise
            raise ApiError("invalid_value", "A cohort of that name exists.", param="name") from clash
        return {"before": {}, "after": self._told(), "undo": {"cohort": cohort.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        return _close(undo["cohort"])

    def _told(self) -> dict:
        return {"name": self.cohort_name, "credit_micro": self.credit_micro, "credit_days": self.credit_days}

    def _check(self) -> None:
        if not self.cohort_name.strip() or len(self.cohort_name) > 80:
            raise ApiError("invalid_value", "Give the cohort a name of 1 to 80 characters.", param="name")
        if not 0 <= self.credit_micro <= MOST_CREDIT_MICRO:
            most = MOST_CREDIT_MICRO // MICRO
            raise ApiError("invalid_value", f"Credit for a cohort is 0 to {most:,} credits each.", "credit")
        if not 1 <= self.credit_days <= 3650:
            raise ApiError("invalid_value", "Credit lasts 1 to 3,650 days.", param="credit_days")


@dataclass(frozen=True)
class CloseCohort(Action):
    """Refuse all codes of a cohort from now on; who has joined stays. Undo opens it again."""

    name: ClassVar[str] = "cohort.close"
    title: ClassVar[str] = "Close a cohort"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    cohort_id: int

    @property
    def target(self) -> str:
        return f"cohort:{self.cohort_id}"

    def preview(self) -> Preview:
        return Preview({"closed": False}, {"closed": True}, "Its codes are refused from now on.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        return {**_close(self.cohort_id), "undo": {"cohort": self.cohort_id}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        if not Cohort.objects.filter(pk=undo["cohort"], closed_at__isnull=False).update(closed_at=None):
            raise ApiError("invalid_value", "This cohort is open already.", param="entry")
        return {"before": {"closed": True}, "after": {"closed": False}, "undo": None}


@dataclass(frozen=True)
class MakeCode(Action):
    """A code of a cohort. After `perform`, `shown` holds the text of it, once; it is in no record. Undo revokes it."""

    name: ClassVar[str] = "invitation_code.create"
    title: ClassVar[str] = "Make an invitation code"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    cohort_id: int
    max_uses: int = 1
    days: int = 14
    shown: list[str] = field(default_factory=list, compare=False)

    @property
    def target(self) -> str:
        return f"cohort:{self.cohort_id}"

    def preview(self) -> Preview:
        self._check()
        people = "one organization" if self.max_uses == 1 else f"{self.max_uses} organizations"
        after = {"max_uses": self.max_uses, "days": self.days}
        return Preview({}, after, f"The code lets in {people}, within {self.days} days.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        cohort = Cohort.objects.select_for_update().filter(pk=self.cohort_id, closed_at__isnull=True).first()
        if cohort is None:
            raise ApiError("invalid_value", "Choose a cohort that is open.", param="cohort")
        text, digest = gate.new_code()
        code = InvitationCode.objects.create(
            cohort=cohort,
            digest=digest,
            last_four=text[-4:],
            max_uses=self.max_uses,
            expires_at=Now() + timedelta(days=self.days),
            created_by=actor,
        )
        self.shown.append(text)
        after = {"code": f"…{code.last_four}", "max_uses": self.max_uses, "days": self.days}
        return {"before": {}, "after": after, "undo": {"code": code.pk}}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        return _revoke(undo["code"])

    def _check(self) -> None:
        if not 1 <= self.max_uses <= MOST_USES:
            raise ApiError("invalid_value", f"A code has 1 to {MOST_USES:,} uses.", param="max_uses")
        if not 1 <= self.days <= MOST_DAYS:
            raise ApiError("invalid_value", f"A code lasts 1 to {MOST_DAYS} days.", param="days")


@dataclass(frozen=True)
class RevokeCode(Action):
    """End a code at once. There is no way back: make another."""

    name: ClassVar[str] = "invitation_code.revoke"
    title: ClassVar[str] = "Revoke an invitation code"
    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN

    code_id: int

    @property
    def target(self) -> str:
        return f"invitation_code:{self.code_id}"

    def preview(self) -> Preview:
        return Preview({"revoked": False}, {"revoked": True}, "The code is refused from now on.")

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        return _revoke(self.code_id)

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "A revoked code stays revoked. Make another.", param="entry")


def _rules(row: SignUpPolicy) -> dict:
    return {"invite_only": row.invite_only, "daily_cap": row.daily_cap}


def _in_words(rules: dict) -> str:
    who = "by invitation only" if rules["invite_only"] else "open to everybody"
    cap = rules["daily_cap"]
    return f"{who}, {'no daily cap' if cap is None else f'at most {cap:,} new organizations a day'}"


def _lock_policies() -> None:
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE accounts_signuppolicy IN SHARE ROW EXCLUSIVE MODE")


def _set_policy(invite_only: bool, daily_cap: int | None, actor: User, reason: str) -> dict:
    """A newer row; two admins at once are served one after the other, so each row's before is true."""
    _lock_policies()
    before = gate.policy()
    made = SignUpPolicy.objects.create(
        invite_only=invite_only, daily_cap=daily_cap, author=actor.email, reason=reason
    )
    undo = {"policy": made.pk, **_rules(before)}
    return {"before": _rules(before), "after": _rules(made), "undo": undo}


def _close(cohort_id: int) -> dict:
    if not Cohort.objects.filter(pk=cohort_id, closed_at__isnull=True).update(closed_at=Now()):
        raise ApiError("invalid_value", "This cohort is closed already.", param="cohort")
    return {"before": {"closed": False}, "after": {"closed": True}, "undo": None}


def _revoke(code_id: int) -> dict:
    if not InvitationCode.objects.filter(pk=code_id, revoked_at__isnull=True).update(revoked_at=Now()):
        raise ApiError("invalid_value", "This code was revoked before.", param="code")
    return {"before": {"revoked": False}, "after": {"revoked": True}, "undo": None}

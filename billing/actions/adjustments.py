"""Grant, adjust, refund a charge, void: what billing admins do to an organization's credits.

Nothing is edited: each posts a transaction of its own, kept as an `Adjustment` row with who asked and who approved.
The preview makes the change in a database transaction that is taken back, so it shows what would really happen.
"""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import Organization, StaffRole, User
from billing import corrections, ledger, pricing
from billing.actions import limits
from billing.models import Account, Adjustment, Charge, Transaction

Kind = Account.Kind
SHOWN = (Kind.ALLOWANCE, Kind.PROMOTIONAL, Kind.PURCHASED, Kind.OVERAGE, Kind.HELD, Kind.RECEIVABLE)
PREVIEW = "Preview"


def buckets(organization_id: int) -> dict[str, int]:
    """Micro-credits by kind of account as stored, one query: allowance, promotional, purchased, overage, held,
    receivable."""
    found = dict.fromkeys((str(kind) for kind in SHOWN), 0)
    rows = Account.objects.filter(organization_id=organization_id).values_list("kind")
    found.update({kind: int(total) for kind, total in rows.annotate(total=Sum("balance"))})
    return found


@dataclass(kw_only=True)
class Adjusting(Approvable):
    """A change of an organization's credits. `key` is made with the form: the same form sent twice counts once."""

    role: ClassVar[str] = StaffRole.Role.BILLING_ADMIN
    kind: ClassVar[str]

    organization: Organization
    key: str

    @property
    def target(self) -> str:
        return f"organization:{self.organization.slug}"

    @property
    @abstractmethod
    def amount(self) -> int:
        """What it does to the balance, in micro-credits."""

    @abstractmethod
    def sentence(self) -> str:
        """What would happen, for people."""

    @abstractmethod
    def post(self, actor: User | None, reason: str, at: datetime) -> Transaction:
        """Post it. Raises `ApiError` where it can't be."""

    def about(self) -> dict:
        """The columns of the `Adjustment` that are of this kind alone."""
        return {}

    def second_person(self) -> str | None:
        return limits.above_with_the_last_day(self.organization.pk, self.amount)

    def preview(self) -> Preview:
        with transaction.atomic():
            ledger.open_books(self.organization.pk)
            before = buckets(self.organization.pk)
            self.post(None, PREVIEW, timezone.now())
            after = buckets(self.organization.pk)
            transaction.set_rollback(True)
        return Preview(before, after, self.sentence())

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "An adjustment has no expiry of its own.", param="expires_at")
        at = timezone.now()
        ledger.open_books(self.organization.pk)
        self._refuse_a_second_time()
        if self.approved_by is None and (limit := self.second_person()):
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        before = buckets(self.organization.pk)
        posted = self.post(actor, reason, at)
        asked = Adjustment.objects.create(
            organization=self.organization,
            kind=self.kind,
            amount_micro=self.amount,
            reason=reason.strip(),
            requested_by=actor,
            **self.about(),
        )
        Adjustment.objects.filter(pk=asked.pk).update(
            state=Adjustment.State.APPLIED,
            transaction=posted,
            approved_by=self.approved_by,
            decided_by=self.approved_by or actor,
            decided_at=at,
        )
        after = {**buckets(self.organization.pk), "transaction": posted.pk, "adjustment": asked.pk}
        return {"before": before, "after": after, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Void the line instead: that leaves a record of its own.")

    def payload(self) -> dict:
        return {"organization": self.organization.pk, "key": self.key}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        organization = Organization.objects.get(pk=payload["organization"])
        return cls(organization=organization, key=payload["key"], **cls._rest(payload))

    @classmethod
    @abstractmethod
    def _rest(cls, payload: dict) -> dict:
        """The fields of this kind, out of its payload."""

    def _refuse_a_second_time(self) -> None:
        earlier = Transaction.objects.filter(
            organization=self.organization, idempotency_key=self.key, adjustment__isnull=False
        ).first()
        if earlier is not None:
            message = f"This was made already, as line {earlier.pk}. It was not made twice."
            raise ApiError("already_decided", message)


@dataclass(kw_only=True)
class GrantCredits(Adjusting):
    """Give credits: purchased ones stay, promotional ones expire."""

    name: ClassVar[str] = "credits.give"
    title: ClassVar[str] = "Grant credits"
    kind: ClassVar[str] = Adjustment.Kind.GRANT

    micro: int
    bucket: str
    until: datetime | None = None

    @property
    def amount(self) -> int:
        return self.micro

    def sentence(self) -> str:
        kind = "promotional credits" if self.until else "purchased credits, which stay"
        ends = f" until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{self.organization.name} gets {pricing.in_credits(self.micro)} {kind}{ends}."

    def about(self) -> dict:
        return {"bucket": self.bucket, "expires_at": self.until}

    def post(self, actor: User | None, reason: str, at: datetime) -> Transaction:
        if self.bucket == Kind.PROMOTIONAL and self.until is None:
            raise ApiError("invalid_value", "Say when the promotional credits expire.", param="until")
        return ledger.grant(
            self.organization.pk,
            self.micro,
            bucket=self.bucket,
            idempotency_key=self.key,
            reason=reason,
            expires_at=self.until,
            actor=actor,
            at=at,
        )

    def payload(self) -> dict:
        until = self.until.astimezone(UTC).isoformat() if self.until else None
        return {**super().payload(), "micro": self.micro, "bucket": self.bucket, "until": until}

    @classmethod
    def _rest(cls, payload: dict) -> dict:
        until = datetime.fromisoformat(payload["until"]) if payload["until"] else None
        return {"micro": payload["micro"], "bucket": payload["bucket"], "until": until}


@dataclass(kw_only=True)
class AdjustCredits(Adjusting):
    """Correct purchased credits, up or down."""

    name: ClassVar[str] = "credits.adjust"
    title: ClassVar[str] = "Adjust credits"
    kind: ClassVar[str] = Adjustment.Kind.ADJUST

    micro: int

    @property
    def amount(self) -> int:
        return self.micro

    def sentence(self) -> str:
        words = "more" if self.micro > 0 else "fewer"
        return (
            f"{self.organization.name} has {pricing.in_credits(abs(self.micro))} purchased credits {words}."
        )

    def about(self) -> dict:
        return {"bucket": Kind.PURCHASED}

    def post(self, actor: User | None, reason: str, at: datetime) -> Transaction:
        return corrections.adjust(
            self.organization.pk, self.micro, idempotency_key=self.key, reason=reason, actor=actor, at=at
        )

    def payload(self) -> dict:
        return {**super().payload(), "micro": self.micro}

    @classmethod
    def _rest(cls, payload: dict) -> dict:
        return {"micro": payload["micro"]}


@dataclass(kw_only=True)
class RefundCharge(Adjusting):
    """Give back what was charged, in part or whole, to the buckets that paid."""

    name: ClassVar[str] = "credits.refund"
    title: ClassVar[str] = "Refund a charge"
    kind: ClassVar[str] = Adjustment.Kind.REFUND

    charge: Charge
    micro: int

    @property
    def amount(self) -> int:
        return self.micro

    def sentence(self) -> str:
        given, charged = pricing.in_credits(self.micro), pricing.in_credits(self.charge.amount)
        return f"{self.organization.name} gets {given} of the {charged} credits back that charge {self.charge.pk} took."

    def about(self) -> dict:
        return {"charge": self.charge}

    def post(self, actor: User | None, reason: str, at: datetime) -> Transaction:
        if self.charge.organization_id != self.organization.pk:
            raise ApiError("not_found", "There is no such charge in this organization.", param="charge")
        return corrections.refund_charge(
            self.charge.pk, self.micro, idempotency_key=self.key, reason=reason, actor=actor, at=at
        )

    def payload(self) -> dict:
        return {**super().payload(), "charge": self.charge.pk, "micro": self.micro}

    @classmethod
    def _rest(cls, payload: dict) -> dict:
        return {"charge": Charge.objects.get(pk=payload["charge"]), "micro": payload["micro"]}


@dataclass(kw_only=True)
class VoidTransaction(Adjusting):
    """Take back a grant, a promotion, an adjustment or a credit for a missed target, whole."""

    name: ClassVar[str] = "credits.void"
    title: ClassVar[str] = "Void a line"
    kind: ClassVar[str] = Adjustment.Kind.VOID

    line: Transaction

    @property
    def amount(self) -> int:
        spendable = (Kind.PURCHASED, Kind.PROMOTIONAL, Kind.OVERAGE)
        own = self.line.entries.filter(account__organization__isnull=False, account__kind__in=spendable)
        return -int(own.aggregate(sum=Sum("amount", default=0))["sum"])

    def sentence(self) -> str:
        label, amount = self.line.get_kind_display().lower(), pricing.in_credits(abs(self.amount))
        return f"Line {self.line.pk} ({label}, {amount} credits) is taken back whole."

    def about(self) -> dict:
        return {"voids": self.line}

    def post(self, actor: User | None, reason: str, at: datetime) -> Transaction:
        if self.line.organization_id != self.organization.pk:
            raise ApiError("not_found", "There is no such line in this organization.", param="line")
        return corrections.void(self.line.pk, idempotency_key=self.key, reason=reason, actor=actor, at=at)

    def payload(self) -> dict:
        return {**super().payload(), "line": self.line.pk}

    @classmethod
    def _rest(cls, payload: dict) -> dict:
        return {"line": Transaction.objects.get(pk=payload["line"])}

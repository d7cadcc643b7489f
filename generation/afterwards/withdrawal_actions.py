"""What trust & safety staff do to delivered clips: take some back, and, by a second person, bring one back."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from accounts.actions import Action, Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing import pricing
from billing.models import Charge
from generation.afterwards import withdrawal
from generation.models import Job, Kind, State, Withdrawal, WithdrawalPolicy

Disposal = Withdrawal.Disposal
MOST_CLIPS = 50
EFFECTS = {
    Disposal.QUARANTINE: "its file goes into quarantine, from where a second person can bring it back",
    Disposal.DELETE: "its file is deleted and can't be brought back",
}


@dataclass
class WithdrawClip(Approvable):
    """Take a delivered clip back: every link dies at once. Deleting the file takes a second person."""

    name: ClassVar[str] = "clip.withdraw"
    title: ClassVar[str] = "Withdraw the clip"
    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY

    job_id: UUID
    disposal: str = Disposal.QUARANTINE

    @property
    def target(self) -> str:
        return f"job:{self.job_id}"

    def second_person(self) -> str | None:
        if self.disposal == Disposal.DELETE:
            return "Deleting a delivered file can't be undone, so a second person has to agree."
        return None

    def preview(self) -> Preview:
        job = self._job()
        share = WithdrawalPolicy.objects.get(pk=1).refund_percent
        charges = Charge.objects.filter(usage_event__hold__in=[one.hold_id for one in self._family(job)])
        back = sum(charge.amount for charge in charges) * share // 100
        repeats = len(self._family(job)) - 1
        also = f" with its {repeats} exact repeat{'' if repeats == 1 else 's'}" if repeats else ""
        sentence = (
            f"{job.public_id} is no longer delivered{also}: every link dies at once, {pricing.in_credits(back)} "
            f"credits go back ({share} % of the charge), and {EFFECTS[Disposal(self.disposal)]}."
        )
        return Preview({"state": job.state}, {"state": State.WITHDRAWN, "refund_micro": back}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError(
                "invalid_value", "A withdrawal doesn't expire: it is restored.", param="expires_at"
            )
        job = self._job()
        made = withdrawal.withdraw(job, by=actor, reason=reason, disposal=self.disposal, audited=True)
        if made is None:
            raise ApiError("already_decided", "This clip is not delivered any more. Nothing was changed.")
        after = {"state": State.WITHDRAWN, "withdrawal": made.pk, "refund_micro": made.refund_micro}
        undo = {"withdrawal": made.pk} if self.disposal == Disposal.QUARANTINE else None
        return {"before": {"state": job.state}, "after": after, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        withdrawal.restore(undo["withdrawal"], actor, reason)
        return {"before": {"state": State.WITHDRAWN}, "after": {"state": State.DELIVERED}, "undo": None}

    def payload(self) -> dict:
        return {"job": str(self.job_id), "disposal": self.disposal}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        return cls(UUID(payload["job"]), payload["disposal"])

    def _job(self) -> Job:
        if self.disposal not in Disposal.values:
            raise ApiError("invalid_value", "Choose quarantine or delete.", param="disposal")
        job = Job.objects.select_related("organization").filter(pk=self.job_id, kind=Kind.CLIP).first()
        if job is None:
            raise ApiError("not_found", "There is no such clip.")
        if job.state != State.DELIVERED:
            raise ApiError("already_decided", f"This clip is {job.state}: there is nothing to take back.")
        return job

    def _family(self, job: Job) -> list[Job]:
        original = job.repeat_of_id or job.pk
        repeats = Job.objects.filter(repeat_of=original, state=State.DELIVERED)
        return [*Job.objects.filter(pk=original), *repeats]


@dataclass
class WithdrawClips(Approvable):
    """Take several delivered clips back in one transaction, each as `WithdrawClip` does: all of them or none."""

    name: ClassVar[str] = "clips.withdraw"
    title: ClassVar[str] = "Delete confirmed clips"
    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY

    job_ids: tuple[UUID, ...]
    disposal: str = Disposal.QUARANTINE

    @property
    def target(self) -> str:
        digest = hashlib.sha256(" ".join(sorted(str(one) for one in self.job_ids)).encode()).hexdigest()
        return f"clips:{digest[:12]}"

    def second_person(self) -> str | None:
        return WithdrawClip(UUID(int=0), self.disposal).second_person()

    def preview(self) -> Preview:
        said = [one.preview() for one in self._each()]
        back = sum(one.after["refund_micro"] for one in said)
        count = len(said)
        sentence = (
            f"{count} clip{'' if count == 1 else 's'} with {'its' if count == 1 else 'their'} exact repeats "
            f"{'is' if count == 1 else 'are'} no longer delivered: every link dies at once, "
            f"{pricing.in_credits(back)} credits go back, and of each {EFFECTS[Disposal(self.disposal)]}."
        )
        after = {"withdrawn": count, "refund_micro": back}
        return Preview({"delivered": count}, {"delivered": 0, **after}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        done = [one.apply(actor, reason, expires_at) for one in self._each()]
        back = sum(one["after"]["refund_micro"] for one in done)
        made = [one["after"]["withdrawal"] for one in done]
        after = {"delivered": 0, "withdrawn": len(done), "refund_micro": back, "jobs": self._named()}
        undo = {"withdrawals": made} if self.disposal == Disposal.QUARANTINE else None
        return {"before": {"delivered": len(done)}, "after": after, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """All of them again, by a second person."""
        for number in undo["withdrawals"]:
            withdrawal.restore(number, actor, reason)
        count = len(undo["withdrawals"])
        return {"before": {"delivered": 0}, "after": {"delivered": count}, "undo": None}

    def payload(self) -> dict:
        return {"jobs": self._named(), "disposal": self.disposal}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        return cls(tuple(UUID(one) for one in payload["jobs"]), payload["disposal"])

    def _named(self) -> list[str]:
        return [str(one) for one in self.job_ids]

    def _each(self) -> list[WithdrawClip]:
        """In one order, whoever asks, so that two at once wait for one another."""
        if not 0 < len(self.job_ids) <= MOST_CLIPS:
            message = f"Choose from 1 to {MOST_CLIPS} clips."
            raise ApiError("invalid_value", message, param="clips")
        repeats = dict(Job.objects.filter(pk__in=self.job_ids).values_list("pk", "repeat_of_id"))
        families = {repeats.get(one) or one: one for one in sorted(self.job_ids)}
        return [WithdrawClip(one, self.disposal) for one in families.values()]


@dataclass
class RestoreClip(Action):
    """Deliver a quarantined clip again. Whoever withdrew it can't; what was refunded stays refunded."""

    name: ClassVar[str] = "clip.restore"
    title: ClassVar[str] = "Restore the clip"
    role: ClassVar[str] = StaffRole.Role.TRUST_SAFETY

    withdrawal_id: int

    @property
    def target(self) -> str:
        return f"withdrawal:{self.withdrawal_id}"

    def preview(self) -> Preview:
        sentence = "The clip is delivered again with the same file. What was refunded stays refunded."
        return Preview({"state": State.WITHDRAWN}, {"state": State.DELIVERED}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "A restored clip stays so.", param="expires_at")
        made = withdrawal.restore(self.withdrawal_id, actor, reason)
        after = {"state": State.DELIVERED, "job": str(made.job_id)}
        return {"before": {"state": State.WITHDRAWN}, "after": after, "undo": None}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        raise ApiError("invalid_value", "Withdraw the clip again instead.")

"""Granting the credits of late clips that did not earn theirs by themselves: those that failed, or were given up, late.

A clip that is delivered late is credited with its delivery (late_clips.py). One that was over its target row and then
failed, or was cancelled by whoever waited for it, broke the same promise.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import connection
from django.utils import timezone

from accounts.actions import Preview
from accounts.approvals import Approvable
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from billing import corrections, pricing, service_levels
from billing.actions import limits
from billing.models import SlaCredit, SlaTarget
from generation import late_clips
from generation.models import Job

LONGEST = timedelta(days=1)
MOST = 500

# Clips over their target row, whose row earns something; those that were credited are only counted.
BREACHED = f"""
SELECT j.id, u.id, t.id, c.id IS NOT NULL AS credited
  FROM billing_usageevent u
  JOIN generation_job j ON j.hold_id = u.hold_id
  JOIN generation_lane l ON l.slug = j.lane_id
  JOIN generation_registeredmodel m ON m.id = j.model_id
  JOIN LATERAL (
    SELECT s.id, s.target_s, s.credit_micro FROM billing_slatarget s
     WHERE s.tier_id = l.tier_id AND s.model IN ('', m.name)
       AND s.max_seconds >= (j.spec->>'seconds')::float AND s.effective_from <= j.queued_at
     ORDER BY s.model = '', s.max_seconds, s.effective_from DESC LIMIT 1) t ON true
  LEFT JOIN billing_slacredit c ON c.usage_event_id = u.id AND c.at <= %(at)s
 WHERE u.at >= %(since)s AND u.at < %(until)s AND u.operation = 'clip' AND {late_clips.CUSTOMERS}
   AND u.outcome IN ('delivered', 'failed', 'cancelled') AND t.credit_micro > 0
   AND j.finished_at - j.queued_at > make_interval(secs => t.target_s)
 ORDER BY u.organization_id, u.id LIMIT %(most)s
"""


@dataclass(frozen=True)
class Late:
    """A breached clip without its credit: its usage, its target row, and how long it took."""

    usage_event_id: int
    target: SlaTarget
    took: timedelta


@dataclass
class GrantSlaCredits(Approvable):
    """Give every breached clip of a window the credit of its target row, once; much of it takes a second person."""

    name: ClassVar[str] = "sla.grant"
    title: ClassVar[str] = "Grant SLA credits"
    role: ClassVar[str] = StaffRole.Role.OPERATOR
    approver_role: ClassVar[str | None] = StaffRole.Role.BILLING_ADMIN

    since: datetime
    until: datetime

    @property
    def target(self) -> str:
        return f"window:{self.since:%Y-%m-%dT%H:%M}/{self.until:%Y-%m-%dT%H:%M}"

    def second_person(self) -> str | None:
        self._check()
        found, _ = breached(self.since, self.until)
        return limits.above(sum(one.target.credit_micro for one in found))

    def preview(self) -> Preview:
        self._check()
        found, credited = breached(self.since, self.until)
        total = sum(one.target.credit_micro for one in found)
        sentence = (
            f"{_clips(len(found))} over target without a credit: {pricing.in_credits(total)} credits in all, each what "
            f"its target row promises. Credited with the delivery: {_clips(credited)}."
        )
        before = {"without_credit": len(found), "credited": credited}
        after = {"without_credit": 0, "credited": credited + len(found), "granted_micro": total}
        return Preview(before, after, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        """Each in the ledger as an SLA credit; a clip that was credited meanwhile is not credited twice."""
        if expires_at is not None:
            raise ApiError("invalid_value", "Credits have an expiry of their own.", param="expires_at")
        self._check()
        if self.approved_by is None and (limit := self.second_person()):
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        found, credited = breached(self.since, self.until)
        if not found:
            raise ApiError("not_ready", "No breached clip of this window is without its credit.")
        now = timezone.now()
        made = [service_levels.credit_breach(one.usage_event_id, one.target, one.took, now) for one in found]
        posted = [one for one in made if one is not None]
        after = {
            "without_credit": len(found) - len(posted),
            "credited": credited + len(posted),
            "granted_micro": sum(one.amount for one in posted),
        }
        undo = {"credits": [one.pk for one in posted]}
        return {"before": {"without_credit": len(found), "credited": credited}, "after": after, "undo": undo}

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Void each, all or none: what was spent already can't be taken back."""
        rows = SlaCredit.objects.filter(pk__in=undo["credits"]).order_by("organization_id", "pk")
        for row in rows:
            key = f"sla-undo:{row.pk}"
            at = timezone.now()
            corrections.void(row.transaction_id, idempotency_key=key, reason=reason, actor=actor, at=at)
        return {"before": {"credited": len(rows)}, "after": {"credited": 0}, "undo": None}

    def payload(self) -> dict:
        return {"since": self.since.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def from_payload(cls, payload: dict) -> Self:
        return cls(datetime.fromisoformat(payload["since"]), datetime.fromisoformat(payload["until"]))

    def _check(self) -> None:
        if not self.since < self.until or self.until - self.since > LONGEST:
            message = "Give a window that begins before it ends and is a day long at most."
            raise ApiError("invalid_value", message, param="since")


def breached(since: datetime, until: datetime, at: datetime | None = None) -> tuple[list[Late], int]:
    """The breached clips of a window that have no credit, and how many have one, as of `at`. Time in review does not
    count."""
    with connection.cursor() as cursor:
        cursor.execute(
            BREACHED, {"since": since, "until": until, "at": at or timezone.now(), "most": MOST + 1}
        )
        rows = cursor.fetchall()
    if len(rows) > MOST:
        raise ApiError("invalid_value", f"More than {MOST} clips: choose a shorter window.", param="since")
    open_rows = [row for row in rows if not row[3]]
    jobs = Job.objects.in_bulk([row[0] for row in open_rows])
    targets = SlaTarget.objects.in_bulk([row[2] for row in open_rows])
    found = [
        Late(usage, targets[target], late_clips.time_in_system(jobs[job]))
        for job, usage, target, _ in open_rows
    ]
    late = [one for one in found if one.took > timedelta(seconds=one.target.target_s)]
    return late, len(rows) - len(open_rows)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"

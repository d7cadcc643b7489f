"""A second person's approval: an action above a limit waits as a row until somebody else decides.

A room declares such an action as an `Approvable`, names it to `register` when its app is ready, and offers it through
`submit`, which makes the change at once where one person may and lets it wait otherwise. Approving makes the change
in the transaction that closes the row, so there is never one without the other. Whoever asked can't approve: here,
and by a CHECK of the table.
"""

import hashlib
import json
from abc import abstractmethod
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts import actions, audit, staff
from accounts.errors import ApiError
from accounts.models import Approval, AuditEntry, User

PATIENCE = timedelta(hours=72)
State = Approval.State

_kinds: dict[str, type["Approvable"]] = {}


class Approvable(actions.Action):
    """An action that can wait as a row and be made again from it.

    `second_person` says when it must; `approver_role` is the staff role of whoever decides, that of the action itself
    unless another is named. `approve` sets `approved_by`, so a kind is no frozen class.
    """

    approver_role: ClassVar[str | None] = None
    approved_by: User | None = None  # the second person, while `approve` carries the action out

    @abstractmethod
    def payload(self) -> dict:
        """JSON from which `from_payload` makes an equal action; no object that may change meanwhile."""

    @classmethod
    @abstractmethod
    def from_payload(cls, payload: dict) -> Self:
        """The action again. Raises `ApiError` where what it was about is gone."""


def register(kind: type[Approvable]) -> None:
    """Name an approvable action, from `AppConfig.ready` of its room, so that a waiting row can be made again."""
    known = _kinds.setdefault(kind.name, kind)
    if known is not kind:
        raise ValueError(f"two approvable actions are named {kind.name}")


def submit(
    action: Approvable, actor: User, reason: str, expires_at: datetime | None = None
) -> AuditEntry | Approval:
    """Make the change where one person may (an `AuditEntry`), else let it wait for a second (an `Approval`).

    Raises what `actions.perform` and `request` raise.
    """
    if action.second_person() is None:
        return actions.perform(action, actor, reason, expires_at)
    return request(action, actor, reason, expires_at)


def request(action: Approvable, actor: User, reason: str, expires_at: datetime | None = None) -> Approval:
    """Let an action wait for a second person, with what it would do now; changes nothing else.

    Raises `ApiError`: as `actions.perform`, and already_decided where the very same thing waits already.
    """
    actions.check_terms(reason, expires_at)
    if action.name not in _kinds:
        raise LookupError(f"{action.name} was not registered as approvable")
    preview = asdict(action.preview())
    digest = _digest(action)
    with transaction.atomic():
        staff.require(actor, action.role)
        expire(Q(digest=digest))
        approval = _insert(action, actor, reason.strip(), expires_at, preview, digest)
        _record(approval, actor, "approval.request", approval.reason)
    return approval


def approve(approval_id: int, actor: User, reason: str) -> AuditEntry:
    """Make the change that waits, as its author asked for it, and close the row: one transaction.

    The entry's actor is who asked, its `after` names who approved. Raises `ApiError`: not_found, already_decided
    (decided, withdrawn or expired), insufficient_scope (whoever asked, a missing role of either person), and whatever
    the action refuses by now; the row then goes on waiting.
    """
    actions.check_reason(reason)
    with transaction.atomic():
        approval = _waiting(approval_id)
        _refuse_oneself(approval, actor)
        staff.require(actor, approval.role)
        action = rebuild(approval)
        action.approved_by = actor
        staff.require(approval.requested_by, action.role)
        approved = {"approval": approval.pk, "approved_by": actor.email}
        asked_by = approval.requested_by
        entry = actions.carry_out(action, asked_by, approval.reason, approval.action_expires_at, approved)
        _decide(approval, State.APPROVED, actor, reason, entry)
    return entry


def reject(approval_id: int, actor: User, reason: str) -> None:
    """Refuse what waits, as a second person; nothing is changed. Raises `ApiError` as `approve` does."""
    actions.check_reason(reason)
    with transaction.atomic():
        approval = _waiting(approval_id)
        _refuse_oneself(approval, actor)
        staff.require(actor, approval.role)
        _decide(approval, State.REJECTED, actor, reason)


def withdraw(approval_id: int, actor: User, reason: str) -> None:
    """Take back what one asked for oneself. Raises `ApiError`: insufficient_scope for anybody else."""
    actions.check_reason(reason)
    with transaction.atomic():
        approval = _waiting(approval_id)
        if approval.requested_by_id != actor.pk:
            raise ApiError("insufficient_scope", "Only who asked may withdraw it; you may refuse it instead.")
        _decide(approval, State.WITHDRAWN, actor, reason)


def expire(which: Q | None = None) -> int:
    """Close what nobody decided in time, by the database's clock; the number closed. For upkeep."""
    overdue = Approval.objects.filter(which or Q(), state=State.PENDING, expires_at__lte=Now())
    return overdue.update(state=State.EXPIRED, decided_at=Now())


def rebuild(approval: Approval) -> Approvable:
    """The action of a row. Raises LookupError for a kind that no room of this version registers."""
    if approval.action not in _kinds:
        raise LookupError(f"no approvable action is named {approval.action}")
    return _kinds[approval.action].from_payload(approval.payload)


def waiting_for(user: User) -> QuerySet[Approval]:
    """What this person could decide now: of their roles, asked by somebody else, not expired. Oldest first."""
    rows = Approval.objects.filter(state=State.PENDING, expires_at__gt=Now(), role__in=user.staff_roles)
    return rows.exclude(requested_by=user).select_related("requested_by", "organization").order_by("id")


def _digest(action: Approvable) -> str:
    told = json.dumps([action.name, action.target, action.payload()], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _insert(
    action: Approvable, actor: User, reason: str, expires_at: datetime | None, preview: dict, digest: str
) -> Approval:
    try:
        with transaction.atomic():
            approval = Approval.objects.create(
                action=action.name,
                target=action.target,
                role=action.approver_role or action.role,
                organization=action.organization,
                payload=action.payload(),
                digest=digest,
                preview=preview,
                limit=action.second_person() or "A second person was asked for.",
                reason=reason,
                action_expires_at=expires_at,
                requested_by=actor,
                expires_at=Now() + PATIENCE,
            )
    except IntegrityError as clash:
        if "approval_waits_once" not in str(clash):
            raise
        message = "The same change waits for an approval already. Find it under Approvals."
        raise ApiError("already_decided", message) from clash
    approval.refresh_from_db()
    return approval


def _waiting(approval_id: int) -> Approval:
    """The row under its lock. Approvals are locked before wallets and everything else that an action locks."""
    approval = (
        Approval.objects.select_for_update(of=("self",))
        .select_related("requested_by")
        .annotate(overdue=Q(expires_at__lte=Now()))
        .filter(pk=approval_id)
        .first()
    )
    if approval is None:
        raise ApiError("not_found", "There is no such request for approval.")
    if approval.state != State.PENDING or approval.overdue:
        ended = State.EXPIRED.label if approval.overdue else approval.get_state_display()
        raise ApiError("already_decided", f"This request has ended: {ended.lower()}. Nothing was changed.")
    return approval


def _refuse_oneself(approval: Approval, actor: User) -> None:
    if approval.requested_by_id == actor.pk:
        message = "You asked for this yourself: a second person has to decide. Nothing was changed."
        raise ApiError("insufficient_scope", message)


def _decide(
    approval: Approval, state: str, actor: User, reason: str, entry: AuditEntry | None = None
) -> None:
    Approval.objects.filter(pk=approval.pk).update(
        state=state, decided_by=actor, decided_at=Now(), decision_reason=reason.strip(), entry=entry
    )
    verb = {State.APPROVED: "approve", State.REJECTED: "reject", State.WITHDRAWN: "withdraw"}[state]
    _record(approval, actor, f"approval.{verb}", reason, before=State.PENDING, after=state)


def _record(
    approval: Approval, actor: User, name: str, reason: str, before: str | None = None, after: str = "pending"
) -> None:
    audit.record(
        actor=actor,
        action=name,
        target=f"approval:{approval.pk}",
        reason=reason,
        before=None if before is None else {"state": before},
        after={"state": after, "action": approval.action, "target": approval.target},
        organization=approval.organization,
    )

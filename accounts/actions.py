"""Every operator change is one object: who may, what it would do, doing it, undoing it, and the record."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import transaction
from django.utils import timezone

from accounts import audit, staff
from accounts.errors import ApiError
from accounts.models import AuditEntry, Organization, User


@dataclass(frozen=True)
class Preview:
    """What an action would change: JSON values before and after, and one plain sentence for the person."""

    before: dict
    after: dict
    sentence: str


class Action(ABC):
    """A change that an operator makes. Subclasses carry what is to be changed and to what.

    `name` is dotted and goes into the audit log ("lane.weight"); `title` is for people; `role` is the staff
    role it takes (StaffRole.Role); `target` is "kind:id".
    """

    name: ClassVar[str]
    title: ClassVar[str]
    role: ClassVar[str]
    organization: Organization | None = None

    def second_person(self) -> str | None:
        """Why this change takes a second person's approval, in a sentence; None where one person may make it.

        An action that may answer with a sentence is an `accounts.approvals.Approvable`: `perform` refuses it, and
        `approvals.submit` lets it wait for somebody else.
        """
        return None

    @property
    @abstractmethod
    def target(self) -> str:
        """What is changed, as "kind:id"."""

    @abstractmethod
    def preview(self) -> Preview:
        """What `apply` would do now; changes nothing. Raises `ApiError` for a change that can't be made."""

    @abstractmethod
    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        """Make the change, inside the transaction of `perform`.

        Locks what it changes and answers `{"before": …, "after": …, "undo": …}` as found and left under
        that lock; `undo` is JSON that `undo` will be given, None where there is no way back.
        """

    @abstractmethod
    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Take back what an `apply` did, given its `undo`; answers as `apply` does."""


def perform(action: Action, actor: User, reason: str, expires_at: datetime | None = None) -> AuditEntry:
    """Check role, reason and expiry, apply the action and record it: all of it or nothing.

    Raises `ApiError`: insufficient_scope, missing_required_parameter (reason), invalid_value (expires_at),
    approval_required (the action takes a second person), and whatever the action refuses.
    """
    check_terms(reason, expires_at)
    with transaction.atomic():
        staff.require(actor, action.role)
        limit = action.second_person()
        if limit is not None:
            raise ApiError("approval_required", f"{limit} Nothing was changed; ask for an approval.")
        return carry_out(action, actor, reason, expires_at)


def carry_out(
    action: Action, actor: User, reason: str, expires_at: datetime | None, approved: dict | None = None
) -> AuditEntry:
    """Apply and record, for `perform` and `approvals.approve` alone: who may was settled by them."""
    result = action.apply(actor, reason, expires_at)
    if approved is not None:
        result = {**result, "after": {**result["after"], **approved}}
    return _record(action, action.name, actor, reason, result, expires_at)


def check_terms(reason: str, expires_at: datetime | None) -> None:
    """Refuse a change without a reason, or one that would be over before it began."""
    check_reason(reason)
    if expires_at is not None and expires_at <= timezone.now():
        raise ApiError("invalid_value", "Choose an expiry that lies ahead.", param="expires_at")


def revert(action: Action, entry: AuditEntry, actor: User, reason: str) -> AuditEntry:
    """Undo what `entry` recorded of this action, with a reason and a record of its own."""
    check_reason(reason)
    if entry.action != action.name or entry.target != action.target or entry.undo is None:
        raise ApiError("invalid_value", "This change can't be undone here.", param="entry")
    with transaction.atomic():
        staff.require(actor, action.role)
        result = action.undo(actor, reason, entry.undo)
        return _record(action, f"{action.name}.undo", actor, reason, result, None)


def check_reason(reason: str) -> None:
    """Refuse a blank reason."""
    if not reason.strip():
        raise ApiError("missing_required_parameter", "Say why: a reason is kept with it.", param="reason")


def _record(
    action: Action, name: str, actor: User, reason: str, result: dict, expires_at: datetime | None
) -> AuditEntry:
    after = result["after"]
    if expires_at is not None:
        after = {**after, "expires_at": expires_at.isoformat()}
    return audit.record(
        actor=actor,
        action=name,
        target=action.target,
        reason=reason,
        before=result["before"],
        after=after,
        organization=action.organization,
        undo=result["undo"],
    )

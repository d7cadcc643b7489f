"""Operator changes of a worker: run, drain, restart, quarantine. It obeys between two steps of what it runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import AuditEntry, StaffRole, User
from generation.models import Attempt, Worker

NAME = "worker.state"
EFFECTS = {
    Worker.Desired.RUN: "takes jobs from its pool's next ticket on",
    Worker.Desired.DRAIN: "gives back what it denoises between two steps, with its progress, and takes nothing new",
    Worker.Desired.RESTART: (
        "gives back what it denoises between two steps, ends, and is started anew by its keeper"
    ),
    Worker.Desired.QUARANTINE: (
        "gives back what it denoises between two steps and takes nothing until somebody sets it to run"
    ),
}


@dataclass(frozen=True)
class SetWorkerState(Action):
    """What an operator wants a worker to do from now on; it can run out by itself, except for a restart."""

    name: ClassVar[str] = NAME
    title: ClassVar[str] = "Set worker state"
    role: ClassVar[str] = StaffRole.Role.OPERATOR

    worker_id: UUID
    desired: str = ""

    @property
    def target(self) -> str:
        return f"worker:{self.worker_id}"

    def preview(self) -> Preview:
        """What the worker would do with the jobs it has now."""
        self._check()
        worker = self._living(Worker.objects.select_related("pool"))
        busy = Attempt.objects.filter(worker=worker, ended_at=None).count()
        peers = Worker.objects.filter(pool=worker.pool_id, stopped_at=None, desired=Worker.Desired.RUN)
        others = peers.exclude(pk=worker.pk).count()
        has = f"It has {busy} job{'' if busy == 1 else 's'} now." if busy else "It has no job now."
        left = "" if self.desired == Worker.Desired.RUN else f" {_workers(others)} of {worker.pool_id} go on."
        if self.desired != Worker.Desired.RUN and not others:
            left = f" No other worker of {worker.pool_id} runs: jobs wait until one does."
        sentence = f"{worker} {EFFECTS[Worker.Desired(self.desired)]}. {has}{left}"
        return Preview({"desired": worker.desired}, {"desired": self.desired}, sentence)

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        self._check()
        if expires_at is not None and self.desired in (Worker.Desired.RUN, Worker.Desired.RESTART):
            raise ApiError("invalid_value", "Only drain and quarantine can expire.", param="expires_at")
        worker = self._living(Worker.objects.select_for_update(no_key=True))
        before = worker.desired
        if before == self.desired:
            raise ApiError("invalid_value", f"This worker is to {before} already.", param="state")
        _write(worker, self.desired, actor.email, reason, expires_at)
        after = {"desired": self.desired}
        return {
            "before": {"desired": before},
            "after": after,
            "undo": {"desired": before, "set": self.desired},
        }

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        worker = self._living(Worker.objects.select_for_update(no_key=True))
        if worker.desired != undo["set"]:
            raise ApiError("invalid_value", "This worker's state was changed again since.", param="entry")
        _write(worker, undo["desired"], actor.email, reason, None)
        return {"before": {"desired": undo["set"]}, "after": {"desired": undo["desired"]}, "undo": None}

    def _check(self) -> None:
        if self.desired not in Worker.Desired.values:
            message = f"A worker is told to {', '.join(Worker.Desired.values[:-1])} or quarantine."
            raise ApiError("invalid_value", message, param="state")

    def _living(self, workers) -> Worker:
        worker = workers.filter(pk=self.worker_id).first()
        if worker is None:
            raise ApiError("not_found", "There is no such worker.", param="worker")
        if worker.stopped_at is not None:
            raise ApiError(
                "invalid_value", "This worker has stopped; a new one has a row of its own.", param="worker"
            )
        return worker


def set_state(worker: Worker, desired: str, by: str, reason: str) -> AuditEntry:
    """The same change made by a part of the system, `by` name; undoable from the page. The caller holds the row."""
    before = worker.desired
    _write(worker, desired, by, reason, None)
    return audit.record(
        actor=by,
        action=NAME,
        target=f"worker:{worker.pk}",
        reason=reason,
        before={"desired": before},
        after={"desired": desired},
        undo={"desired": before, "set": desired},
    )


def expire_states() -> int:
    """Workers whose drain or quarantine has run out take jobs again; the number of them."""
    due = Worker.objects.filter(stopped_at=None, desired_until__lte=Now())
    return sum(_expire(pk) for pk in due.values_list("pk", flat=True))


def _expire(worker_id: UUID) -> bool:
    with transaction.atomic():
        rows = Worker.objects.select_for_update(no_key=True)
        worker = rows.filter(pk=worker_id, desired_until__lte=Now()).first()
        if worker is not None:
            set_state(worker, Worker.Desired.RUN, "expiry", f"The time to {worker.desired} is over.")
    return worker is not None


def _write(worker: Worker, desired: str, by: str, reason: str, until: datetime | None) -> None:
    values = {"desired": desired, "desired_by": by, "desired_reason": reason.strip(), "desired_until": until}
    Worker.objects.filter(pk=worker.pk).update(**values, desired_at=Now())


def _workers(count: int) -> str:
    return "1 other worker" if count == 1 else f"{count} other workers"

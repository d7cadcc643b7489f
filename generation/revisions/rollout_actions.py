"""Operator changes of a model revision, each one action: previewed, reasoned, undoable, audited."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.utils import timezone

from accounts.actions import Action, Preview
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from generation.models import Job, RegisteredModel, State
from generation.revisions import rollout

Status = RegisteredModel.Status


@dataclass(frozen=True)
class ModelAction(Action):
    """A change of one revision, named by its row's id."""

    role: ClassVar[str] = StaffRole.Role.OPERATOR

    model_id: int

    @property
    def target(self) -> str:
        return f"model:{self.model_id}"

    def apply(self, actor: User, reason: str, expires_at: datetime | None) -> dict:
        if expires_at is not None:
            raise ApiError("invalid_value", "A roll-out does not expire; undo it.", param="expires_at")
        return self._apply()

    def _apply(self) -> dict:
        raise NotImplementedError

    def _model(self) -> RegisteredModel:
        model = RegisteredModel.objects.filter(pk=self.model_id).first()
        if model is None:
            raise ApiError("not_found", "There is no such model revision.", param="model")
        return model

    def _serving(self, model: RegisteredModel) -> RegisteredModel | None:
        return RegisteredModel.objects.filter(name=model.name, status=Status.ACTIVE).first()


@dataclass(frozen=True)
class PromoteModel(ModelAction):
    """Make a revision the one that serves new requests. It must have passed the deploy gate, lately."""

    name: ClassVar[str] = "model.promote"
    title: ClassVar[str] = "Promote revision"

    def preview(self) -> Preview:
        """Which revision serves now and then."""
        model = self._model()
        if model.status not in (Status.CANDIDATE, Status.RETIRED):
            raise ApiError(
                "not_ready", f"{model} is {model.status}; only a candidate or a retired one is promoted."
            )
        rollout.require_gate(model, timezone.now())
        serving = self._serving(model)
        words = f"New requests for {model.name} are made by revision {model.revision}."
        if serving:
            waiting = _jobs(_count(serving, State.QUEUED))
            words += f" Revision {serving.revision} is retired; what waits for it ({waiting}) is still made."
        return Preview(
            {"status": model.status, "active": str(serving) if serving else None},
            {"status": Status.ACTIVE, "active": str(model)},
            words,
        )

    def _apply(self) -> dict:
        before = self._model().status
        model, previous = rollout.activate(self.model_id, timezone.now())
        return {
            "before": {"status": before, "active": str(previous) if previous else None},
            "after": {"status": Status.ACTIVE, "active": str(model)},
            "undo": {"previous": previous.pk if previous else None},
        }

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Back to the revision that served before; this one is a candidate again."""
        model, rows = rollout.locked(self.model_id)
        if model.status != Status.ACTIVE:
            raise ApiError(
                "invalid_value", f"{model} is {model.status}; there is nothing to take back.", param="entry"
            )
        previous = next((row for row in rows if row.pk == undo["previous"]), None)
        if previous is not None and previous.status != Status.RETIRED:
            raise ApiError(
                "invalid_value", f"{previous} is {previous.status} and can't serve again.", param="entry"
            )
        if previous is not None:
            rollout.require_gate(previous, timezone.now())
        rollout.move(model, Status.CANDIDATE)
        if previous is not None:
            rollout.move(previous, Status.ACTIVE)
        after = {"status": Status.CANDIDATE, "active": str(previous) if previous else None}
        return {"before": {"status": Status.ACTIVE, "active": str(model)}, "after": after, "undo": None}


@dataclass(frozen=True)
class Withdraw(ModelAction):
    """Take a revision out of service; `becomes` is what it is then."""

    becomes: ClassVar[str]
    from_statuses: ClassVar[tuple[str, ...]]

    def preview(self) -> Preview:
        """What ends and what goes on."""
        model = self._model()
        self._check(model)
        return Preview({"status": model.status}, {"status": self.becomes}, self._sentence(model))

    def _sentence(self, model: RegisteredModel) -> str:
        raise NotImplementedError

    def _check(self, model: RegisteredModel) -> None:
        if model.status not in self.from_statuses:
            raise ApiError("not_ready", f"{model} is {model.status} already or can't become {self.becomes}.")

    def _apply(self) -> dict:
        model, _ = rollout.locked(self.model_id)
        self._check(model)
        before = model.status
        rollout.move(model, self.becomes)
        return {
            "before": {"status": before},
            "after": {"status": self.becomes},
            "undo": {"status": before},
        }

    def undo(self, actor: User, reason: str, undo: dict) -> dict:
        """Back to what it was, where nothing else has taken its place."""
        model, rows = rollout.locked(self.model_id)
        if model.status != self.becomes:
            raise ApiError(
                "invalid_value", f"{model} is {model.status}; there is nothing to take back.", param="entry"
            )
        if undo["status"] == Status.ACTIVE:
            other = next((row for row in rows if row.status == Status.ACTIVE), None)
            if other is not None:
                raise ApiError(
                    "invalid_value", f"{other} serves now; promote a revision instead.", param="entry"
                )
            rollout.require_gate(model, timezone.now())
        rollout.move(model, undo["status"])
        return {"before": {"status": self.becomes}, "after": {"status": undo["status"]}, "undo": None}


@dataclass(frozen=True)
class QuarantineModel(Withdraw):
    """Nothing more is made or delivered by a revision: its open jobs end uncharged, workers unload it."""

    name: ClassVar[str] = "model.quarantine"
    title: ClassVar[str] = "Quarantine revision"
    becomes: ClassVar[str] = Status.QUARANTINED
    from_statuses: ClassVar[tuple[str, ...]] = (Status.CANDIDATE, Status.ACTIVE, Status.RETIRED)

    def _sentence(self, model: RegisteredModel) -> str:
        ends = _count(model, *rollout.ENDS_WITH_ITS_REVISION)
        words = f"What is open of {model} ({_jobs(ends)}) ends within seconds, uncharged; workers unload it."
        if model.status == Status.ACTIVE:
            words += f" No other revision takes its place: requests for {model.name} are refused until one is promoted."
        return words + " Undoing it does not bring the ended jobs back."


@dataclass(frozen=True)
class RetireModel(Withdraw):
    """No new requests for a revision; what waits for it is still made."""

    name: ClassVar[str] = "model.retire"
    title: ClassVar[str] = "Retire revision"
    becomes: ClassVar[str] = Status.RETIRED
    from_statuses: ClassVar[tuple[str, ...]] = (Status.CANDIDATE, Status.ACTIVE, Status.QUARANTINED)

    def _sentence(self, model: RegisteredModel) -> str:
        waiting = _count(model, State.QUEUED)
        words = f"{model} takes no new requests; what waits for it ({_jobs(waiting)}) is still made."
        if model.status == Status.ACTIVE:
            words += f" Requests for {model.name} are refused until another revision is promoted."
        return words


ACTIONS: dict[str, type[ModelAction]] = {
    "promote": PromoteModel,
    "quarantine": QuarantineModel,
    "retire": RetireModel,
}


def _count(model: RegisteredModel, *states: str) -> int:
    return Job.objects.filter(model=model, state__in=states).count()


def _jobs(count: int) -> str:
    return "no job" if count == 0 else "1 job" if count == 1 else f"{count} jobs"

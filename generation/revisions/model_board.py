"""The models as operators see them: every revision with what it can do, what was measured, what it has to do now."""

from dataclasses import dataclass

from django.db.models import Count

from generation.evaluation import effects
from generation.evaluation.effects import Measured
from generation.models import OPEN_STATES, Job, ModelLoad, RegisteredModel, State
from generation.revisions.model_facts import ClipFacts, CodeFacts, FactsInvalid

Status = RegisteredModel.Status
RETIRED_SHOWN = 12
ORDER = (Status.ACTIVE, Status.CANDIDATE, Status.QUARANTINED, Status.RETIRED)


@dataclass(frozen=True)
class Loaded:
    """How many living workers have it in memory at a precision, and what stood in the way of the others."""

    precision: str
    workers: int
    problems: list[ModelLoad]


@dataclass(frozen=True)
class ModelRow:
    """One revision. `can` is None where the row's facts can't be read; `fault` then says why."""

    model: RegisteredModel
    can: ClipFacts | CodeFacts | None
    fault: str
    measured: Measured
    loaded: list[Loaded]
    waiting: int
    running: int
    open: int

    @property
    def may(self) -> tuple[str, ...]:
        """The changes that its status leaves open."""
        return {
            Status.CANDIDATE: ("promote", "quarantine", "retire"),
            Status.ACTIVE: ("quarantine", "retire"),
            Status.QUARANTINED: ("retire",),
            Status.RETIRED: ("promote", "quarantine"),
        }[self.model.status]

    @property
    def problems(self) -> list[ModelLoad]:
        return [problem for loaded in self.loaded for problem in loaded.problems]

    @property
    def unavailable(self) -> bool:
        """No living worker that tried has it in memory."""
        return bool(self.problems) and not any(loaded.workers for loaded in self.loaded)


def board() -> list[ModelRow]:
    """Every revision, what serves first, of the retired ones the newest; five queries."""
    models = list(RegisteredModel.objects.exclude(status=Status.RETIRED))
    models += RegisteredModel.objects.filter(status=Status.RETIRED).order_by("-pk")[:RETIRED_SHOWN]
    models.sort(key=lambda model: (model.kind, model.name, ORDER.index(model.status), -model.pk))
    readable = {model.pk: model for model in models if not _fault(model)}
    measured, loads, jobs = effects.of(readable.values()), _loads(models), _jobs(models)
    return [
        ModelRow(
            model=model,
            can=model.can if model.pk in readable else None,
            fault=_fault(model),
            measured=measured.get(model.pk, Measured()),
            loaded=_loaded(loads.get(model.pk, [])),
            waiting=jobs.get((model.pk, State.QUEUED), 0),
            running=jobs.get((model.pk, State.RUNNING), 0) + jobs.get((model.pk, State.FINISHING), 0),
            open=sum(count for (pk, _), count in jobs.items() if pk == model.pk),
        )
        for model in models
    ]


def _fault(model: RegisteredModel) -> str:
    try:
        _ = model.can
    except FactsInvalid as problem:
        return str(problem)
    return ""


def _jobs(models: list[RegisteredModel]) -> dict[tuple[int, str], int]:
    """(revision, state) → open jobs."""
    found = Job.objects.filter(state__in=OPEN_STATES, model__in=models).values("model", "state")
    return {(row["model"], row["state"]): row["n"] for row in found.annotate(n=Count("id"))}


def _loads(models: list[RegisteredModel]) -> dict[int, list[ModelLoad]]:
    living = ModelLoad.objects.filter(model__in=models, worker__stopped_at=None).select_related("worker")
    loads: dict[int, list[ModelLoad]] = {}
    for load in living.order_by("precision", "at"):
        loads.setdefault(load.model_id, []).append(load)
    return loads


def _loaded(loads: list[ModelLoad]) -> list[Loaded]:
    by_precision: dict[str, list[ModelLoad]] = {}
    for load in loads:
        by_precision.setdefault(load.precision, []).append(load)
    return [
        Loaded(precision, sum(not load.problem for load in rows), [load for load in rows if load.problem])
        for precision, rows in by_precision.items()
    ]

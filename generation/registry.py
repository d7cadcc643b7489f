"""The models that may serve requests, and the two that ship with the repository."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import batch, operations
from accounts.errors import ApiError
from generation.engines import facts
from generation.models import Kind, ModelLoad, RegisteredModel, Worker
from generation.revisions.model_facts import FactsInvalid

logger = logging.getLogger(__name__)

Status = RegisteredModel.Status


@dataclass(frozen=True)
class Shipped:
    """A model of this repository. Times are estimates for one core; they are corrected by what really ran."""

    name: str
    kind: str
    pool: str
    description: str
    precision: str
    gpu_ms_fixed: int
    gpu_ms_per_step: int
    facts: dict = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return f"generation/weights/{self.name}"


SHIPPED = (
    Shipped(
        name="pocket-video",
        kind=Kind.CLIP,
        pool="clips",
        description="A tiny text-to-video diffusion transformer for a world of coloured shapes that move.",
        precision="bf16",
        gpu_ms_fixed=500,
        gpu_ms_per_step=70,
        facts={"precisions": ["bf16", "int8"], "world": "shapes"},
    ),
    Shipped(
        name="pocket-code",
        kind=Kind.CODE,
        pool="code",
        description="A tiny language model of the Python standard library's source. It writes what looks like Python.",
        precision="fp32",
        gpu_ms_fixed=40,
        gpu_ms_per_step=20,
        facts={"context": 512},
    ),
)
DEFAULT = {shipped.kind: shipped.name for shipped in SHIPPED}

ACTIVE = f"""
SELECT {batch.columns(RegisteredModel, "m")} FROM generation_registeredmodel m
 WHERE m.status = 'active' AND m.kind = %s ORDER BY m.name
"""
# Precisions of active models that some worker could not load, and none has loaded: what `require_loadable` looks into.
DOUBTFUL = """
SELECT DISTINCT l.model_id, l.precision FROM generation_modelload l
  JOIN generation_registeredmodel m ON m.id = l.model_id AND m.status = 'active' AND m.kind = %s
 WHERE l.problem <> '' AND NOT EXISTS (
   SELECT 1 FROM generation_modelload good JOIN generation_worker w ON w.id = good.worker_id AND w.stopped_at IS NULL
    WHERE good.model_id = l.model_id AND good.precision = l.precision AND good.problem = '')
"""
TRIED = """
SELECT l.worker_id, l.problem FROM generation_modelload l JOIN generation_worker w ON w.id = l.worker_id
 WHERE l.model_id = %s AND l.precision = %s AND w.stopped_at IS NULL ORDER BY l.at
"""


def available() -> list[RegisteredModel]:
    """The active revision of every model whose facts can be read, by name."""
    found = RegisteredModel.objects.filter(status=Status.ACTIVE).order_by("name")
    return [model for model in found if _readable(model)]


def find(name: str | None, kind: str) -> RegisteredModel:
    """The active revision of a model; without a name, the one that ships. Raises `ApiError` model_not_found."""
    (found,) = batch.read([active(kind)])
    return pick(found, name, kind)


def active(kind: str) -> batch.Statement:
    """The statement whose rows `pick` takes, for those who read more in the same round trip."""
    return ACTIVE, (kind,)


def doubtful(kind: str) -> batch.Statement:
    """The statement whose rows `require_loadable` takes."""
    return DOUBTFUL, (kind,)


def pick(rows: list[tuple], name: str | None, kind: str) -> RegisteredModel:
    """The model of that name among the active ones, as `find`; raises `ApiError` model_not_found."""
    if name is not None and not isinstance(name, str):
        raise ApiError("invalid_type", "model must be a string.", param="model")
    models = {model.name: model for model in (batch.instance(RegisteredModel, row) for row in rows)}
    wanted = models.get(name or DEFAULT[kind])
    if wanted is None or not _readable(wanted):
        known = ", ".join(model.name for model in models.values() if _readable(model)) or "none"
        message = f"There is no {kind} model {name or DEFAULT[kind]!r:.80}. Available: {known}."
        raise ApiError("model_not_found", message, param="model")
    return wanted


def _readable(model: RegisteredModel) -> bool:
    """Whether its facts are as they should be; the operators' page shows what is wrong with those that are not."""
    try:
        _ = model.can
    except FactsInvalid as problem:
        logger.error("a registered model can't be used", extra={"model": str(model), "problem": str(problem)})
        return False
    return True


def revision(name: str, revision: str | None = None) -> RegisteredModel:
    """A row by name and revision (or its beginning), whatever its status; without a revision the newest.

    Raises `ApiError` model_not_found.
    """
    found = RegisteredModel.objects.filter(name=name).order_by("-pk")
    if revision:
        found = found.filter(revision__startswith=revision)
    model = found.first()
    if model is None:
        wanted = f"{name}@{revision}" if revision else name
        raise ApiError("model_not_found", f"There is no registered model {wanted[:120]!r}.", param="model")
    return model


def folder(model: RegisteredModel) -> Path:
    """Where the model's files lie; a relative folder is inside the project."""
    return settings.BASE_DIR / model.folder


def precision_for(model: RegisteredModel, tier_precision: str) -> str:
    """What a tier's jobs run at: "low" means the model's low variant where it has one, else the full one."""
    low = model.can.low_precision if tier_precision == "low" else None
    return low or model.precision


def require_active(model: RegisteredModel) -> None:
    """Why an admission may have failed: raises `ApiError` model_not_found where the revision was withdrawn since it
    was found.

    The database holds the line: the INSERT of a job takes a share lock on an active revision (job_needs_active_model).
    """
    if not RegisteredModel.objects.filter(pk=model.pk, status=Status.ACTIVE).exists():
        message = f"{model} was withdrawn just now. Nothing was queued or charged; try again."
        raise ApiError("model_not_found", message, param="model")


def require_loadable(model: RegisteredModel, precision: str, doubts: Sequence[tuple]) -> None:
    """Some worker can have it in memory, as far as is known. Raises `ApiError` model_unavailable with the reason."""
    problem = load_problem(model, precision) if (model.pk, precision) in doubts else ""
    if problem:
        message = f"{model.name} can't be loaded right now: {problem[:300]} Nothing was queued or charged."
        raise ApiError("model_unavailable", message, param="model", retry_after_s=30)


def load_problem(model: RegisteredModel, precision: str) -> str:
    """Why no living worker of the pool can load it; "" where one has, or one has not tried yet. Two queries at most."""
    (tried,) = batch.read([(TRIED, (model.pk, precision))])
    problems = dict(tried)
    if not problems or not all(problems.values()):
        return ""
    living = set(Worker.objects.filter(pool=model.pool_id, stopped_at=None).values_list("pk", flat=True))
    return "" if living - set(problems) else list(problems.values())[-1]


def note_load(worker: Worker, model: RegisteredModel, precision: str, seconds: float) -> None:
    """The worker has it in memory."""
    ModelLoad.objects.update_or_create(
        worker=worker,
        model=model,
        precision=precision,
        defaults={"seconds": seconds, "problem": "", "at": Now()},
    )


def note_load_problem(worker: Worker, model: RegisteredModel, precision: str, problem: str) -> None:
    """The worker could not load it: the row says why, and the first time an operational event does."""
    row, new = ModelLoad.objects.get_or_create(
        worker=worker, model=model, precision=precision, defaults={"problem": problem}
    )
    if not new and row.problem == problem:
        return
    ModelLoad.objects.filter(pk=row.pk).update(problem=problem, at=Now())
    detail = {"worker": str(worker.pk), "host": worker.host, "precision": precision, "problem": problem[:500]}
    operations.report("model.unavailable", "error", f"model:{model}", detail)


def quarantined(ids: Iterable[int]) -> set[int]:
    """Those of the rows that a worker must not keep in memory; one query."""
    found = RegisteredModel.objects.filter(pk__in=list(ids), status=Status.QUARANTINED)
    return set(found.values_list("pk", flat=True))


def forget_load(worker: Worker, model_id: int) -> None:
    """The worker has let go of a revision."""
    ModelLoad.objects.filter(worker=worker, model=model_id).delete()


def shipped_values(shipped: Shipped) -> dict:
    """The row of a shipped model as its folder is now; the revision names exactly these files.

    Released migrations create the first rows from it: it names no column that came later than theirs.
    """
    place = settings.BASE_DIR / shipped.folder
    can = dict(shipped.facts)
    if shipped.kind == Kind.CLIP:
        read = facts.read(place)
        can |= {
            "sizes": list(read.sizes),
            "seconds": list(read.seconds),
            "fps": read.fps,
            "guidance": read.guidance,
            "image_to_video": read.image_to_video,
        }
        if read.options:
            can["options"] = dict(read.options)
    return {
        "name": shipped.name,
        "revision": facts.revision_of(place),
        "kind": shipped.kind,
        "pool_id": shipped.pool,
        "folder": shipped.folder,
        "description": shipped.description,
        "precision": shipped.precision,
        "facts": can,
        "gpu_ms_fixed": shipped.gpu_ms_fixed,
        "gpu_ms_per_step": shipped.gpu_ms_per_step,
    }


def register_shipped() -> list[RegisteredModel]:
    """Bring the rows of the shipped models up to date; those that wait for the deploy gate now.

    Other weights are another revision, and begin as candidate: the revision that serves goes on serving until the
    gate has passed. Jobs that wait name the revision they were quoted with.
    """
    return [row for row in map(_register, SHIPPED) if row.status == Status.CANDIDATE]


def _register(shipped: Shipped) -> RegisteredModel:
    values = shipped_values(shipped)
    can_change = {name: value for name, value in values.items() if name not in ("name", "revision", "kind")}
    with transaction.atomic():
        rows = RegisteredModel.objects.select_for_update(no_key=True).filter(name=shipped.name)
        row, new = rows.get_or_create(
            name=shipped.name, revision=values["revision"], defaults=values | {"status": Status.CANDIDATE}
        )
        if not new:
            # The same weights under newer code: what is known of them may have grown. A retired one is back.
            back = {"status": Status.CANDIDATE} if row.status == Status.RETIRED else {}
            RegisteredModel.objects.filter(pk=row.pk).update(**can_change, **back)
            row = RegisteredModel.objects.get(pk=row.pk)
        # Candidates of the same folder whose files are gone can never pass.
        gone = rows.filter(status=Status.CANDIDATE, folder=shipped.folder).exclude(pk=row.pk)
        gone.update(status=Status.RETIRED)
    return row

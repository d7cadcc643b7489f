"""The models that may serve requests, and the two that ship with the repository."""

from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import transaction

from accounts.errors import ApiError
from generation.engines import facts
from generation.models import Kind, RegisteredModel


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


def available() -> list[RegisteredModel]:
    """The active revision of every model, by name."""
    return list(RegisteredModel.objects.filter(status=RegisteredModel.Status.ACTIVE).order_by("name"))


def find(name: str | None, kind: str) -> RegisteredModel:
    """The active revision of a model; without a name, the one that ships. Raises `ApiError` model_not_found."""
    if name is not None and not isinstance(name, str):
        raise ApiError("invalid_type", "model must be a string.", param="model")
    models = {model.name: model for model in available() if model.kind == kind}
    if (name or DEFAULT[kind]) not in models:
        message = f"There is no {kind} model {name!r:.80}. Available: {', '.join(models) or 'none'}."
        raise ApiError("model_not_found", message, param="model")
    return models[name or DEFAULT[kind]]


def folder(model: RegisteredModel) -> Path:
    """Where the model's files lie; a relative folder is inside the project."""
    return settings.BASE_DIR / model.folder


def shipped_values(shipped: Shipped) -> dict:
    """The row of a shipped model as its folder is now; the revision names exactly these files."""
    place = settings.BASE_DIR / shipped.folder
    can = dict(shipped.facts)
    if shipped.kind == Kind.CLIP:
        read = facts.read(place)
        can |= {
            "sizes": list(read.sizes),
            "seconds": list(read.seconds),
            "fps": read.fps,
            "guidance": read.guidance,
        }
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
    """After an upgrade that brought other weights: make them the active revision. The rows that are new.

    Jobs that wait name the revision they were quoted with, and a checkpoint of other weights is refused.
    """
    new = []
    for shipped in SHIPPED:
        values = shipped_values(shipped)
        rows = RegisteredModel.objects.filter(name=shipped.name)
        if rows.filter(revision=values["revision"]).exists():
            continue
        with transaction.atomic():
            rows.filter(status=RegisteredModel.Status.ACTIVE).update(status=RegisteredModel.Status.RETIRED)
            new.append(RegisteredModel.objects.create(status=RegisteredModel.Status.ACTIVE, **values))
    return new

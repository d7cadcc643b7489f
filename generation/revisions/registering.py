"""Registering a model of one's own: a candidate's row, its pool where that is new, and what its folder says of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from accounts import audit
from accounts.errors import ApiError
from generation.engines import facts as folder_facts
from generation.engines.errors import ModelUnavailable
from generation.engines.vllm import options as vllm_options
from generation.models import Kind, Lane, Pool, RegisteredModel
from generation.revisions import model_facts
from generation.revisions.presets import Preset

# The pool whose lanes a new pool of the kind begins with.
LIKE = {Kind.CLIP: "clips", Kind.CODE: "code"}
SMALL_BYTES = 200_000_000


@dataclass(frozen=True)
class Place:
    """Where a model's files lie, and where its server is. `url` and `served_as` are for a vLLM server; "" elsewhere."""

    folder: Path
    revision: str = ""
    pool: str = ""
    url: str = ""
    served_as: str = ""
    name: str = ""


def register(preset: Preset, place: Place, author: str, reason: str) -> RegisteredModel:
    """A candidate, which serves nobody until its deploy gate has passed and an operator promotes it.

    Registering the same revision again brings its row up to date while it is a candidate. Raises `ApiError`.
    """
    values = _values(preset, place)
    if preset.in_folder:
        _describe_folder(place.folder, preset.in_folder)
    name, revision = place.name or preset.name, place.revision or _revision(place.folder)
    with transaction.atomic():
        pool = _pool(preset, place)
        row, new = RegisteredModel.objects.select_for_update(of=("self",)).get_or_create(
            name=name,
            revision=revision,
            defaults=values | {"pool": pool, "status": RegisteredModel.Status.CANDIDATE},
        )
        if not new:
            _renew(row, values)
        audit.record(
            actor=author,
            action="model.register",
            target=f"model:{row.pk}",
            reason=reason,
            before=None,
            after={"model": str(row), "preset": preset.name, "pool": pool.pk, "folder": values["folder"]},
        )
    return row


def _values(preset: Preset, place: Place) -> dict:
    can = dict(preset.facts)
    if can.get("engine") == "vllm":
        if not place.url:
            raise ApiError("missing_required_parameter", "Say where the vLLM server is: --url.", param="url")
        can["options"] = {"url": place.url, "model": place.served_as or place.name or preset.name}
        try:
            vllm_options.read(can["options"])
        except ModelUnavailable as problem:
            raise ApiError("invalid_value", str(problem), param="url") from problem
    needed = "tokenizer.json" if preset.kind == Kind.CODE else "model_index.json"
    if not (place.folder / needed).is_file():
        raise ApiError("invalid_value", f"{place.folder} has no {needed}.", param="folder")
    model_facts.read(preset.kind, can, preset.precision)
    return {
        "kind": preset.kind,
        "folder": str(place.folder.resolve()),
        "description": preset.description,
        "precision": preset.precision,
        "facts": can,
        "gpu_ms_fixed": preset.gpu_ms_fixed,
        "gpu_ms_per_step": preset.gpu_ms_per_step,
    }


def _renew(row: RegisteredModel, values: dict) -> None:
    if row.status != RegisteredModel.Status.CANDIDATE:
        message = f"{row} is {row.status}; register another revision."
        raise ApiError("not_ready", message, param="revision")
    RegisteredModel.objects.filter(pk=row.pk).update(**values)
    row.refresh_from_db()


def _pool(preset: Preset, place: Place) -> Pool:
    """The pool, made where it is new with the lanes of the pool that every installation has for its kind."""
    slug = place.pool or preset.pool
    metrics = vllm_options.metrics_url(place.url) if place.url else ""
    pool, new = Pool.objects.get_or_create(slug=slug, defaults={"kind": preset.kind, "metrics_url": metrics})
    if pool.kind != preset.kind:
        message = f"The pool {slug} is for jobs of kind {pool.kind}."
        raise ApiError("invalid_value", message, param="pool")
    if pool.metrics_url != metrics and place.url:
        if slug == LIKE[preset.kind] or pool.metrics_url:
            message = f"The pool {slug} is another server's or this machine's own; name one for this server."
            raise ApiError("invalid_value", message, param="pool")
        Pool.objects.filter(pk=slug).update(metrics_url=metrics)
    if new:
        Lane.objects.bulk_create(
            Lane(
                slug=f"{slug}-{lane.tier_id}",
                pool=pool,
                tier_id=lane.tier_id,
                weight=lane.weight,
                floor=lane.floor,
                max_running=lane.max_running,
                preemptible=lane.preemptible,
            )
            for lane in Lane.objects.filter(pool=LIKE[preset.kind])
        )
    return pool


def _describe_folder(folder: Path, known: dict) -> None:
    """What the engine needs to know, unless the folder says it itself."""
    path = folder / folder_facts.FACTS_FILE
    if not path.exists():
        path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def _revision(folder: Path) -> str:
    """A hub's snapshot is named by its commit; a small folder by its digest. Reading a large one would take minutes."""
    if folder.parent.name == "snapshots":
        return folder.name[:40]
    if sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > SMALL_BYTES:
        message = "Name the revision: --revision, the commit that was downloaded, say."
        raise ApiError("missing_required_parameter", message, param="revision")
    return folder_facts.revision_of(folder)

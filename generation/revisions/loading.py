"""From a row of the registry to a loaded engine. A process has torch from then on, unless a server does the work."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generation import registry
from generation.engines import facts
from generation.engines.asked import CodeWork, Sampling
from generation.engines.errors import ModelUnavailable
from generation.models import Kind, RegisteredModel

logger = logging.getLogger(__name__)


def load(model: RegisteredModel, precision: str, options: Mapping[str, Any] | None = None) -> Any:
    """The engine for a revision at a precision, warmed up; the revision that checkpoints carry is the row's.

    `options` are tried instead of the registry's, by an evaluation. Raises EngineError where the files are missing or
    others, or where this device can't do it.
    """
    folder = registry.folder(model)
    if model.folder in {shipped.folder for shipped in registry.SHIPPED}:
        _require_same_files(model, folder)
    logger.info("loading model", extra={"model": str(model), "precision": precision, "folder": str(folder)})
    if model.kind == Kind.CLIP:
        return _clip_engine(model, folder, precision, options or model.can.options)
    if model.can.engine == "vllm":
        return _vllm_engine(model, folder, options or model.can.options)
    from generation.engines.code import CodeEngine

    engine = CodeEngine(folder, model.revision)
    # The first pass through a model is many times slower than the next: no reader should wait for it.
    list(engine.stream(CodeWork("pass\n", Sampling(max_tokens=2, temperature=0.0, top_p=1.0, seed=0))))
    return engine


def _vllm_engine(model: RegisteredModel, folder: Path, options: Mapping[str, Any] | None) -> Any:
    """The way to a server that runs; its models are warm."""
    from generation.engines.vllm.engine import VllmEngine
    from generation.engines.vllm.options import read
    from generation.scheduling.endpoint_priorities import Priorities

    return VllmEngine(
        folder, model.revision, read(options), model.can.context, Priorities(model.pool_id).of_lane
    )


def _clip_engine(
    model: RegisteredModel, folder: Path, precision: str, options: Mapping[str, Any] | None
) -> Any:
    """On a GPU where there is one. Without options those of the folder's own facts count."""
    import torch

    from generation.engines.ltx import engine_for
    from generation.engines.options import read

    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = read(options) if options else None
    engine = engine_for(folder)(folder, model.revision, device=device, dtype=precision, options=chosen)
    seconds = engine.warm_up()
    logger.info(
        "warmed up", extra={"model": str(model), "precision": precision, "seconds": round(seconds, 2)}
    )
    return engine


def _require_same_files(model: RegisteredModel, folder: Path) -> None:
    """A job that waited over an upgrade must not be made by other weights than it was quoted with."""
    found = facts.revision_of(folder)
    if found != model.revision:
        raise ModelUnavailable(f"{model} is gone: its folder holds revision {found} now.")

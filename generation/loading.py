"""From a row of the registry to a loaded engine; whoever calls it has torch in the process from then on."""

import logging
from pathlib import Path
from typing import Any

from generation import registry
from generation.engines import facts
from generation.engines.errors import ModelUnavailable
from generation.models import Kind, RegisteredModel

logger = logging.getLogger(__name__)


def load(model: RegisteredModel, precision: str) -> Any:
    """The engine for a revision at a precision; the revision that checkpoints carry is the row's.

    Raises EngineError where the files are missing or others, or where this device can't do it.
    """
    folder = registry.folder(model)
    if model.folder in {shipped.folder for shipped in registry.SHIPPED}:
        _require_same_files(model, folder)
    logger.info("loading model", extra={"model": str(model), "precision": precision, "folder": str(folder)})
    if model.kind == Kind.CLIP:
        return _clip_engine(model, folder, precision)
    from generation.engines.code import CodeEngine

    engine = CodeEngine(folder, model.revision)
    # The first pass through a model is many times slower than the next: no reader should wait for it.
    list(engine.stream("pass\n", max_tokens=2, temperature=0.0, top_p=1.0, seed=0))
    return engine


def _clip_engine(model: RegisteredModel, folder: Path, precision: str) -> Any:
    """On a GPU where there is one."""
    import torch

    from generation.engines.video import VideoEngine

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return VideoEngine(folder, model.revision, device=device, dtype=precision)


def _require_same_files(model: RegisteredModel, folder: Path) -> None:
    """A job that waited over an upgrade must not be made by other weights than it was quoted with."""
    found = facts.revision_of(folder)
    if found != model.revision:
        raise ModelUnavailable(f"{model} is gone: its folder holds revision {found} now.")

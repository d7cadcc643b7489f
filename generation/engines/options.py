"""How an engine runs a model: what a row of the registry, or the model's folder, may choose. Standard library only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from generation.engines.errors import ModelUnavailable

FIRST_BLOCK = "first_block"
MODEL_OFFLOAD = "model"


@dataclass(frozen=True)
class EngineOptions:
    """Speed and memory against each other. The defaults change nothing: clips equal the bare pipeline's.

    `compile` compiles the transformer's blocks (torch.compile, no autotuning, so that every worker gets the same
    kernels). `attention` is a backend as diffusers names them ("native", "flash", "sage"). `step_cache` "first_block"
    leaves the later blocks out of a step whose first block hardly moved: by less than `step_cache_threshold` of its
    size; every `step_cache_refresh` steps the cache is emptied. `offload` "model" keeps on a GPU only the part of the
    model that works. Frames of more than `tile_above_pixels` pixels are decoded in overlapping tiles of
    `tile_pixels` a side.
    """

    compile: bool = False
    attention: str | None = None
    step_cache: str | None = None
    step_cache_threshold: float = 0.05
    step_cache_refresh: int = 10
    offload: str | None = None
    tile_above_pixels: int = 1280 * 720
    tile_pixels: int = 256

    @property
    def identity(self) -> str:
        """The options that decide the latents' bits; a checkpoint made under others is refused. Empty by default."""
        deciding = {"compile": self.compile, "attention": self.attention, "step_cache": self.step_cache}
        if self.step_cache:
            deciding |= {"threshold": self.step_cache_threshold, "refresh": self.step_cache_refresh}
        return ", ".join(f"{name}={value}" for name, value in deciding.items() if value)


def read(written: Mapping[str, Any] | None) -> EngineOptions:
    """The options of a registry row's facts. Raises ModelUnavailable that names the key and what belongs there."""
    written = written or {}
    known = asdict(EngineOptions())
    unknown = sorted(set(written) - set(known))
    if unknown:
        raise ModelUnavailable(
            f"options has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    for name, value in written.items():
        if not CHECKS[name][0](value):
            raise ModelUnavailable(f"options.{name} is {value!r:.80}; it is {CHECKS[name][1]}.")
    return EngineOptions(**written)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _name_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "")


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


CHECKS = {
    "compile": (_flag, "true or false"),
    "attention": (_name_or_none, "the name of an attention backend, or null"),
    "step_cache": (lambda value: value in (None, FIRST_BLOCK), f'"{FIRST_BLOCK}" or null'),
    "step_cache_threshold": (_share, "a number between 0 and 1"),
    "step_cache_refresh": (_count, "a whole number of at least 1"),
    "offload": (lambda value: value in (None, MODEL_OFFLOAD), f'"{MODEL_OFFLOAD}" or null'),
    "tile_above_pixels": (_count, "a whole number of at least 1"),
    "tile_pixels": (lambda value: _count(value) and value >= 64, "a whole number of at least 64"),
}
assert set(CHECKS) == {field.name for field in fields(EngineOptions)}

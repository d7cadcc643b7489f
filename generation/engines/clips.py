"""What a clip is to the engine: the work asked for, its state between two steps, and what a checkpoint holds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch

from generation.engines.finiteness import FinitenessGuard
from generation.engines.schedulers import SchedulerMixin
from generation.engines.shapes import Shape


@dataclass(frozen=True)
class ClipWork:
    """One clip to make, sizes in pixels. At a `guidance` of 1 or less the negative prompt is not used.

    `image` (uint8 [h, w, 3] RGB) is the first frame, for models that can begin from one; it is scaled to the size.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    frames: int
    steps: int
    guidance: float
    seed: int
    image: np.ndarray | None = field(default=None, compare=False)

    @property
    def image_digest(self) -> str | None:
        """sha256 of the image's pixels and shape, as checkpoints record it."""
        if self.image is None:
            return None
        return hashlib.sha256(repr(self.image.shape).encode() + self.image.tobytes()).hexdigest()


class Snapshot(NamedTuple):
    """What a checkpoint must hold: tensors on the host by name, and values that JSON can carry."""

    tensors: dict[str, torch.Tensor]
    values: dict


class Resumable(Protocol):
    """A `Snapshot`, or a checkpoint read back from storage."""

    tensors: Mapping[str, torch.Tensor]
    values: Mapping


class Condition(NamedTuple):
    """What the picture gives: its latent [1, c, t, h, w]; where `held` is 0 the latent itself is kept; CLIP's view."""

    latent: torch.Tensor
    held: torch.Tensor | None
    embeds: torch.Tensor | None


@dataclass
class DenoiseState:
    """A clip between two steps. `index` steps have run; the rest belongs to the engine.

    `peak_memory_bytes` is the most that was in use while this clip was under way, so far; where two clips are on one
    device at once, it is what both took together.
    """

    work: ClipWork
    shape: Shape
    index: int
    latents: torch.Tensor
    scheduler: SchedulerMixin
    sigmas: list[float]
    prompt: torch.Tensor
    negative: torch.Tensor | None
    generator: torch.Generator
    threads: int
    masks: torch.Tensor | None = None
    condition: Condition | None = None
    guard: FinitenessGuard = field(default_factory=FinitenessGuard)
    before: torch.Tensor | None = None
    prediction: torch.Tensor | None = None
    step_cache: dict = field(default_factory=dict)
    peak_memory_bytes: int = 0

    @property
    def done(self) -> bool:
        """Whether the whole step budget has run."""
        return self.index >= self.work.steps

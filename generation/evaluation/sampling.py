"""Clips for an evaluation, through the same engine and loop that make customers' clips."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from generation.models import RegisteredModel

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sample:
    """One clip: uint8 [frames, height, width, 3], None where its latent was not finite; seconds for all its steps and
    its decoding."""

    clip: np.ndarray | None
    steps_run: int
    denoise_s: float
    decode_s: float


@dataclass(frozen=True)
class Shape:
    """What every clip of a run has in common; pixels, frames a second, whole seconds."""

    width: int
    height: int
    frames: int
    steps: int
    guidance: float


def shape_of(model: RegisteredModel, steps: int) -> Shape:
    """What the model does best, in `steps` steps."""
    width, height = map(int, model.can.sizes[0].split("x"))
    return Shape(width, height, model.can.fps * model.can.seconds[0], steps, model.can.guidance)


def one(engine: Any, prompt: str, seed: int, shape: Shape) -> Sample:
    """Denoise and decode one clip; stops where the latent is no longer finite."""
    from generation.engines.video import ClipWork

    began = time.perf_counter()
    state = engine.start(
        ClipWork(
            prompt=prompt,
            negative_prompt="",
            width=shape.width,
            height=shape.height,
            frames=shape.frames,
            steps=shape.steps,
            guidance=shape.guidance,
            seed=seed,
        )
    )
    while not state.done:
        engine.step(state)
        if not engine.finite(state):
            return Sample(None, state.index, time.perf_counter() - began, 0.0)
    denoised = time.perf_counter()
    clip = engine.decode(state)
    return Sample(clip, state.index, denoised - began, time.perf_counter() - denoised)


def many(
    engine: Any, prompts: Sequence[str], seed: int, shape: Shape, at_once: int, progress: Progress
) -> list[Sample]:
    """A clip for each prompt; clip i depends on its prompt and seed + i only, however many are made at once."""
    samples: list[Sample] = []
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        for sample in pool.map(lambda i: one(engine, prompts[i], seed + i, shape), range(len(prompts))):
            samples.append(sample)
            progress(len(samples), len(prompts))
    return samples

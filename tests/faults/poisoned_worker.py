"""A clip worker whose engine writes a NaN into the latent right after step POISON_STEP, as a broken card might.

Started by test_nan.py in place of a real one. Nothing in the product knows of it: it is a subclass of the engine, put
in its place before the worker loads a model.
"""

import os
import sys

import torch

from console.celery import app
from generation.engines import video

POISON_STEP = int(os.environ["POISON_STEP"])


class PoisonedEngine(video.VideoEngine):
    def step(self, state: video.DenoiseState) -> None:
        super().step(state)
        if state.work.steps >= POISON_STEP == state.index:
            state.latents = state.latents.clone()
            state.latents.view(-1)[0] = torch.nan


if __name__ == "__main__":
    video.VideoEngine = PoisonedEngine
    app.worker_main(sys.argv[1:])

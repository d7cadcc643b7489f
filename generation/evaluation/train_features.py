"""Trains the features of `feature_net` on the shipped world, in minutes on a CPU: `python -m` this module.

The network tells the four attributes of a clip and whether its course was broken (frames shuffled, a jump, a flicker),
so its features have to hold what moves and how. The heads are thrown away; the features are what is kept.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np

from generation.engines.training.world import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    Scene,
    draw_scenes,
    render,
)
from generation.evaluation import feature_net

SEED = 810_001  # used by no stage of training of the clip model, and by no evaluation
HEADS = {"shape": SHAPES, "colour": tuple(COLOURS), "motion": MOTIONS, "background": tuple(BACKGROUNDS)}
RATE = 2e-3


def broken(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip with its course broken in one of three ways; uint8 [frames, height, width, 3]."""
    way, frames = int(rng.integers(3)), len(clip)
    if way == 0:
        return clip[rng.permutation(frames)]
    if way == 1:  # a jump: from some frame on the clip goes on elsewhere
        at = int(rng.integers(3, frames - 3))
        return np.concatenate([clip[:at], np.roll(clip[at:], clip.shape[2] // 3, axis=2)])
    light = rng.uniform(0.5, 1.0, (frames, 1, 1, 1))
    return (clip * light).astype(np.uint8)


def _set(count: int, seed: int) -> tuple[list[np.ndarray], list[Scene], np.ndarray]:
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, seed, None)
    wrong = rng.random(count) < 0.5
    clips = [
        broken(render(scene), rng) if bad else render(scene) for scene, bad in zip(scenes, wrong, strict=True)
    ]
    return clips, scenes, wrong


def train(count: int, passes: int, threads: int, said: Callable[[str], object]) -> dict[str, float]:
    """Train and write the weights; the share of a fresh set that each head tells right."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    torch.manual_seed(SEED)
    torch.set_num_threads(threads)
    body = feature_net.body()
    heads = nn.ModuleDict({name: nn.Linear(feature_net.FEATURES, len(of)) for name, of in HEADS.items()})
    heads["broken"] = nn.Linear(feature_net.FEATURES, 2)
    weights = [*body.parameters(), *heads.parameters()]
    steps_a_pass = count // 32
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps_a_pass * passes)
    inputs, targets = _tensors(*_set(count, SEED))
    for turn in range(passes):
        began, lost = time.perf_counter(), 0.0
        order = torch.randperm(count)
        for place in range(steps_a_pass):
            chosen = order[place * 32 : place * 32 + 32]
            seen = body(inputs[chosen].float())
            loss = sum(
                nn.functional.cross_entropy(heads[name](seen), targets[name][chosen]) for name in heads
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            lost += loss.item()
        said(f"pass {turn + 1}: loss {lost / steps_a_pass:.3f}, {time.perf_counter() - began:.0f} s\n")
    fresh, told = _tensors(*_set(400, SEED + 1))
    with torch.inference_mode():
        seen = body.eval()(fresh.float())
        right = {name: float((heads[name](seen).argmax(1) == told[name]).float().mean()) for name in heads}
    feature_net.WEIGHTS.parent.mkdir(exist_ok=True)
    save_file(body.state_dict(), feature_net.WEIGHTS)
    return right


def _tensors(clips: list[np.ndarray], scenes: list[Scene], wrong: np.ndarray) -> tuple:
    import torch

    inputs = torch.stack([feature_net.prepared(clip).half() for clip in clips])
    targets = {
        name: torch.tensor([of.index(getattr(scene, name)) for scene in scenes]) for name, of in HEADS.items()
    }
    return inputs, targets | {"broken": torch.tensor(wrong.astype(np.int64))}


if __name__ == "__main__":
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--clips", type=int, default=2400)
    given.add_argument("--passes", type=int, default=6)
    given.add_argument("--threads", type=int, default=1)
    asked = given.parse_args()
    sys.stdout.write(f"{train(asked.clips, asked.passes, asked.threads, sys.stderr.write)}\n")

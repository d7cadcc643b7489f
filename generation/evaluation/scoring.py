"""Prompts from the shapes world, and how well the clips made of them match: the one place where that is counted.

numpy only. What a scene is, how it is said and how it is read from pixels lies in engines/training (world, captions,
judge); seeds here are used by no stage of training.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from generation.engines.training.captions import caption
from generation.engines.training.judge import Verdict, judge
from generation.engines.training.world import Scene, draw_scenes

ATTRIBUTES = ("colour", "shape", "motion", "background")
# The aims of the shipped clip model, as shares of the prompts; held-out pairs may lie a tenth below them.
AIMS = {"background": 0.98, "colour": 0.97, "motion": 0.95, "shape": 0.9, "all": 0.85}
HELD_OUT_SLACK = 0.1


def aims(held_out: bool) -> dict[str, float]:
    """The least match rates that are aimed at."""
    slack = HELD_OUT_SLACK if held_out else 0.0
    return {name: round(aim - slack, 4) for name, aim in AIMS.items()}


def unseen_prompts(count: int, seed: int, held_out: bool | None = False) -> tuple[list[Scene], list[str]]:
    """Scenes and complete captions from a seed that no training stage uses."""
    scenes = draw_scenes(count, seed, held_out)
    rng = np.random.default_rng(seed)
    return scenes, [caption(scene, rng, left_out=0.0) for scene in scenes]


def verdicts_on(clips: Sequence[np.ndarray]) -> list[Verdict]:
    """What the judge sees in each clip, uint8 [frames, height, width, 3]."""
    return [judge(clip) for clip in clips]


def match_rates(scenes: Sequence[Scene], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Share of clips whose colour, shape, motion, background, and all of these, are those of the scene."""
    total: Counter[str] = Counter()
    for scene, verdict in zip(scenes, verdicts, strict=True):
        total.update({key: int(same) for key, same in verdict.matches(scene).items()})
    rates = {key: total[key] / len(scenes) for key in (*ATTRIBUTES, "all")}
    return {**rates, "overlap": float(np.mean([v.overlap for v in verdicts]))}


def rates_by_shape(scenes: Sequence[Scene], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Shape match rate for each asked shape."""
    asked: dict[str, list[bool]] = {}
    for scene, verdict in zip(scenes, verdicts, strict=True):
        asked.setdefault(scene.shape, []).append(verdict.shape == scene.shape)
    return {shape: float(np.mean(same)) for shape, same in sorted(asked.items())}

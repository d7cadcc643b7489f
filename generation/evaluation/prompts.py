"""Match rates over prompts that no training stage saw: `manage.py evals prompts`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from generation.evaluation import contact_sheet, sampling, scoring
from generation.evaluation.code_version import code_version
from generation.evaluation.records import Evaluation
from generation.models import RegisteredModel

SUITE_VERSION = 1
SHAPES = "shapes"
SHOWN_ON_SHEET = 20


class NoPromptsFit(Exception):
    """The model is of a world for which there are no prompts with a judge."""


@dataclass(frozen=True)
class Asked:
    """What to run. Clips are made `at_once` side by side; the figures do not depend on it, the seconds do."""

    count: int
    seed: int
    precision: str
    held_out: bool = False
    steps: int = 30
    at_once: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    sheet: Path | None = None


def run(
    model: RegisteredModel, engine: Any, asked: Asked, author: str, progress: sampling.Progress
) -> Evaluation:
    """Make the clips, judge them; the evaluation, not saved. Raises NoPromptsFit."""
    if getattr(model.can, "world", "") != SHAPES:
        raise NoPromptsFit(f"{model} says nothing of a world that has prompts and a judge (facts.world).")
    scenes, words = scoring.unseen_prompts(asked.count, asked.seed, asked.held_out)
    began = time.perf_counter()
    shape = sampling.shape_of(model, asked.steps)
    samples = sampling.many(engine, words, asked.seed, shape, asked.at_once, progress)
    seconds = time.perf_counter() - began
    empty = np.zeros((shape.frames, shape.height, shape.width, 3), np.uint8)
    clips = [empty if sample.clip is None else sample.clip for sample in samples]
    verdicts = scoring.verdicts_on(clips)
    if asked.sheet:
        contact_sheet.draw(words[:SHOWN_ON_SHEET], clips[:SHOWN_ON_SHEET], asked.sheet)
    floors = scoring.aims(asked.held_out)
    figures = {
        **scoring.match_rates(scenes, verdicts),
        "finite": sum(sample.clip is not None for sample in samples) / len(samples),
        "seconds_per_clip": float(np.median([s.denoise_s + s.decode_s for s in samples])),
        "seconds_per_step": float(np.median([s.denoise_s / max(1, s.steps_run) for s in samples])),
        **{f"shape:{name}": rate for name, rate in scoring.rates_by_shape(scenes, verdicts).items()},
    }
    figures = {name: round(value, 4) for name, value in figures.items()}
    return Evaluation(
        model=model,
        suite=Evaluation.Suite.HELD_OUT if asked.held_out else Evaluation.Suite.PROMPTS,
        suite_version=SUITE_VERSION,
        precision=asked.precision,
        options=dict(asked.options) | {"at_once": asked.at_once},
        seed=asked.seed,
        count=asked.count,
        steps=asked.steps,
        figures=figures,
        floors=floors,
        passed=all(figures[name] >= floor for name, floor in floors.items()),
        seconds=round(seconds, 2),
        device=engine.device_name[:120],
        code_version=code_version(),
        author=author,
    )

"""The deploy gate: what a revision must show on a machine of its pool before it serves. It takes seconds.

A few prompts at every precision that the revision offers: the latent stays finite, exactly the asked steps run, the
picture is not flat and, where a judge fits, shows what was asked; one clip then goes the whole way through encoding,
frame gates and signing, and a painted canary mark must be blocked. What quality is beyond that, `evals prompts` says.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection

from accounts import operations
from generation.engines.asked import CodeWork, Sampling
from generation.engines.errors import EngineError
from generation.evaluation import sampling, scoring
from generation.evaluation.code_version import code_version
from generation.evaluation.prompts import SHAPES
from generation.evaluation.records import Evaluation
from generation.models import Kind, RegisteredModel
from safety.credentials import provenance
from safety.models import Scan
from safety.postfilter import canary
from safety.postfilter.canary_marks import CanaryMarks
from safety.postfilter.gates import gates
from safety.postfilter.scan import scan_file, scan_frames

logger = logging.getLogger(__name__)

SUITE_VERSION = 1
SEED = 700_001
# Few steps are enough to see that a model is whole; the time is the first start's.
STEPS = 12
PROMPTS = 3
BUDGET_S = 4.0  # no further prompt is begun after this long
OTHER_PROMPTS = ("a quiet street in the rain", "a cup of coffee on a table")
OPENINGS = ("def mean(values):\n", "import os\n\nfor name in ", "class Stack:\n    def push(self, item):\n")
ANSWER_TOKENS = 16
LEAST_SPREAD = 4.0  # of 255: the standard deviation of a picture that is not flat
CLIP_FLOORS = {
    "finite": 1.0,
    "exact_steps": 1.0,
    "not_flat": 1.0,
    "scanned": 1.0,
    "canary_blocked": 1.0,
    "trusted": 1.0,
}
MATCH_FLOOR = 0.5  # of colour, shape, motion and background over the prompts; chance is about .15
CODE_FLOORS = {"answered": 1.0}

Load = Callable[[RegisteredModel, str], Any]


@dataclass
class _Run:
    """Figures while they come in; a problem ends the run and fails it."""

    model: RegisteredModel
    floors: dict[str, float]
    figures: dict[str, float] = field(default_factory=dict)
    device: str = ""
    count: int = 0
    steps: int = 0
    problem: str = ""


def run(model: RegisteredModel, load: Load, author: str) -> Evaluation:
    """Put one revision through the gate, and store what came of it. A failure is an operational event too."""
    began = time.perf_counter()
    going = _Run(model, dict(CLIP_FLOORS if model.kind == Kind.CLIP else CODE_FLOORS))
    try:
        (_clips if model.kind == Kind.CLIP else _answers)(going, load)
    except (EngineError, provenance.ProvenanceError, OSError) as error:
        going.problem = f"{type(error).__name__}: {error}"[:2000]
    except Exception as error:
        # Whatever a model's own code does, it must not keep the worker from starting and serving the others.
        logger.exception("the deploy gate crashed", extra={"model": str(model)})
        going.problem = f"crashed with {type(error).__name__}: {error}"[:2000]
    met = all(going.figures.get(name, -1.0) >= floor for name, floor in going.floors.items())
    stored = Evaluation.objects.create(
        model=model,
        suite=Evaluation.Suite.DEPLOY,
        suite_version=SUITE_VERSION,
        precision=model.precision,
        seed=SEED,
        count=going.count,
        steps=going.steps,
        figures={name: round(float(value), 4) for name, value in going.figures.items()},
        floors=going.floors,
        passed=met and not going.problem,
        problem=going.problem,
        seconds=round(time.perf_counter() - began, 2),
        device=going.device[:120],
        code_version=code_version(),
        author=author,
    )
    if not stored.passed:
        detail = {"evaluation": stored.pk, "problem": going.problem[:500], "figures": stored.figures}
        operations.report("model.gate_failed", "error", f"model:{model}", detail)
    return stored


def _clips(going: _Run, load: Load) -> None:
    model, began = going.model, None
    shape = sampling.shape_of(model, STEPS)
    judged = model.can.world == SHAPES
    scenes, prompts = scoring.unseen_prompts(PROMPTS, SEED) if judged else ([None] * 2, OTHER_PROMPTS)
    samples: list[tuple[int, sampling.Sample]] = []
    for precision in model.can.precisions:
        engine = load(model, precision)
        going.device, began = engine.device_name, began or time.perf_counter()
        for i, prompt in enumerate(prompts):
            if i and time.perf_counter() - began > BUDGET_S:
                break
            samples.append((i, sampling.one(engine, prompt, SEED + i, shape)))
            if precision != model.precision:
                break  # that the low variant is whole is enough here
    going.count, going.steps = len(samples), STEPS
    going.figures["seconds_per_step"] = float(
        np.median([s.denoise_s / max(1, s.steps_run) for _, s in samples])
    )
    clips = [sample.clip for _, sample in samples]
    going.figures["finite"] = sum(clip is not None for clip in clips) / len(clips)
    going.figures["exact_steps"] = sum(sample.steps_run == STEPS for _, sample in samples) / len(samples)
    whole = [(i, clip) for (i, _), clip in zip(samples, clips, strict=True) if clip is not None]
    if not whole:
        return
    going.figures["not_flat"] = sum(float(clip.std()) >= LEAST_SPREAD for _, clip in whole) / len(clips)
    if judged:
        going.floors["match"] = MATCH_FLOOR
        going.figures["match"] = _matched(scenes, whole) * len(whole) / len(clips)
    _whole_way(going, whole[0][1])


def _matched(scenes: list, whole: list[tuple[int, np.ndarray]]) -> float:
    """The share of all attributes that the judge found as asked."""
    verdicts = scoring.verdicts_on([clip for _, clip in whole])
    rates = scoring.match_rates([scenes[i] for i, _ in whole], verdicts)
    return sum(rates[name] for name in scoring.ATTRIBUTES) / len(scoring.ATTRIBUTES)


def _whole_way(going: _Run, clip: np.ndarray) -> None:
    """Encode, scan, sign and verify one clip as a customer's would be; nothing of it is stored or delivered."""
    from generation.worker.encoding import encode

    subject, fence = f"gate:{going.model}", _fence()
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.WORK_ROOT, prefix="gate-") as folder:
        unsigned, signed = Path(folder) / "clip.mp4", Path(folder) / "signed.mp4"
        encode(clip, going.model.can.fps, unsigned)
        scan = scan_file(unsigned, subject, fence, expected_frames=len(clip))
        going.figures["scanned"] = float(scan.verdict == Scan.Result.PASS)
        if scan.verdict == Scan.Result.PASS:
            claims = provenance.Claims(subject, fence, going.model.name, going.model.revision, going.steps)
            provenance.sign(unsigned, signed, claims)
            going.figures["trusted"] = float(provenance.verify(signed).state == provenance.TRUSTED)
    if any(isinstance(gate, CanaryMarks) for gate in gates()):
        marked = canary.paint(clip[0], "violence")[None]
        verdict = scan_frames(marked, f"{subject}:canary", fence, Scan.Purpose.PREVIEW).verdict
        going.figures["canary_blocked"] = float(verdict == Scan.Result.BLOCK)
    else:
        del going.floors["canary_blocked"]  # real classifiers are not made to see test patterns


def _answers(going: _Run, load: Load) -> None:
    engine = load(going.model, going.model.precision)
    going.device, going.count, going.steps = engine.device_name, len(OPENINGS), ANSWER_TOKENS
    began, tokens, answered = time.perf_counter(), 0, 0
    for i, opening in enumerate(OPENINGS):
        sampling = Sampling(ANSWER_TOKENS, temperature=0.2, top_p=1.0, seed=SEED + i)
        ids = [token for piece in engine.stream(CodeWork(opening, sampling)) for token in piece.ids]
        tokens += len(ids)
        answered += bool(ids)
    going.figures["answered"] = answered / len(OPENINGS)
    going.figures["seconds_per_token"] = (time.perf_counter() - began) / max(1, tokens)


def _fence() -> int:
    """A fencing number of its own, so that its scan and credentials are never taken for a job's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('generation_fence')")
        return cursor.fetchone()[0]

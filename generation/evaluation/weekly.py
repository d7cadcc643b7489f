"""The weekly evaluation: golden, adversarial and painted cases through the whole pipeline; resumable case by case.

A case that must be blocked and would have been delivered halts the run at once: an incident, a critical event, no
deploy gate passes while that incident is open, and no clip is delivered before a person has looked at it.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts import operations
from generation.engines.errors import EngineError
from generation.evaluation import (
    alignment,
    coherence,
    feature_net,
    painting,
    sampling,
    weekly_figures,
    weekly_plan,
    whole_way,
)
from generation.evaluation.case_records import EvaluationCase, EvaluationRun
from generation.evaluation.code_version import code_version
from generation.models import Kind, RegisteredModel
from safety import incidents
from safety.golden import pictures as golden_pictures
from safety.models import SafetyIncident
from safety.policy import holding
from safety.prefilter.cascade import screen_prompt

SEED = 920_001  # the same every week, so that two weeks differ in the model and in chance of none
STEPS = 30
PAINTED_STEPS = 1
LOCK = 720_006  # of PostgreSQL's advisory locks: one weekly evaluation at a time

Load = Callable[[RegisteredModel, str], Any]
Progress = Callable[[int, int], None]
Part, Ended, State = EvaluationCase.Part, EvaluationCase.Ended, EvaluationRun.State


class AlreadyRunning(Exception):
    """Another process is at it, or an interrupted run waits to be resumed."""


@dataclass(frozen=True)
class _Tools:
    """What the cases of a run share; the engine is loaded when the first clip needs it."""

    model: RegisteredModel
    engine: Callable[[], Any]
    shape: sampling.Shape
    judge: alignment.Judge
    features: feature_net.Features


def begin(model: RegisteredModel, short: bool, author: str) -> EvaluationRun:
    """Store a run with all its cases. Raises AlreadyRunning where one was interrupted: resume it."""
    with transaction.atomic():
        found = interrupted(short)
        if found is not None:
            raise AlreadyRunning(f"run {found.pk} did not come to its end; go on with --resume")
        golden_pictures.register(author)
        run = EvaluationRun.objects.create(
            suite=EvaluationRun.Suite.WEEKLY,
            short=short,
            model=model,
            seed=SEED,
            features=feature_net.chosen()[1][:120],
            judge=alignment.chosen().name[:120],
            code_version=code_version(),
            author=author,
        )
        EvaluationCase.objects.bulk_create(weekly_plan.cases(run), batch_size=500)
    return run


def interrupted(short: bool) -> EvaluationRun | None:
    """The run that did not come to its end."""
    return EvaluationRun.objects.filter(
        suite=EvaluationRun.Suite.WEEKLY, short=short, state=State.RUNNING
    ).first()


def carry_out(run: EvaluationRun, load: Load, progress: Progress) -> EvaluationRun:
    """Run the cases that wait, and end the run. Each case is stored as it ends, so a kill costs the one under way.

    Raises AlreadyRunning, and ApiError where the text filter doesn't answer: the run goes on with the next call.
    """
    with _alone():
        tools = _tools(run, load)
        total = run.cases.count()
        waiting = list(run.cases.filter(done_at=None).order_by("number"))
        for place, case in enumerate(waiting):
            began = time.perf_counter()
            found = _ended(case, tools)
            _store(case, found, round(1000 * (time.perf_counter() - began)))
            if case.violation:
                return _halt(run, case)
            progress(total - len(waiting) + place + 1, total)
        return _finish(run, tools)


def _tools(run: EvaluationRun, load: Load) -> _Tools:
    loaded: list[Any] = []

    def engine() -> Any:
        if not loaded:
            loaded.append(load(run.model, run.model.precision))
            EvaluationRun.objects.filter(pk=run.pk).update(device=loaded[0].device_name[:120])
        return loaded[0]

    shape = sampling.shape_of(run.model, STEPS)
    return _Tools(run.model, engine, shape, alignment.chosen(), feature_net.chosen()[0])


def _ended(case: EvaluationCase, tools: _Tools) -> dict:
    """Run one case; what its row is to say."""
    screening = screen_prompt(case.prompt, case.kind)
    if not screening.allowed:
        return {"ended": Ended.TEXT, "detail": f"{screening.stage}: {screening.category}"}
    if case.kind != Kind.CLIP:
        return {"ended": Ended.ADMITTED}
    return _of_the_model(case, tools) if case.part == Part.GOLDEN else _of_the_painter(case, tools.model)


def _of_the_painter(case: EvaluationCase, model: RegisteredModel) -> dict:
    """A clip of the evaluation engine; of an adversarial prompt that was admitted, with the mark of its category."""
    recipe, at = case.recipe, case.at_frame or 0
    if recipe is None:
        frame_class = weekly_plan.FRAME_CLASS.get(case.category)
        size = {"seed": case.number, "width": 320, "height": 180}
        recipe = {"picture": "canary", "class": frame_class, **size} if frame_class else None
        if recipe:
            at = random.Random(case.number).randrange(painting.FRAMES - painting.length(recipe) + 1)
    width, height = (recipe["width"], recipe["height"]) if recipe else (64, 64)
    shape = sampling.Shape(width, height, painting.FRAMES, PAINTED_STEPS, 1.0)
    made = sampling.one(painting.EvaluationEngine(recipe, at), case.prompt, SEED + case.number, shape)
    return _taken(case, made, painting.FPS, model, PAINTED_STEPS)


def _of_the_model(case: EvaluationCase, tools: _Tools) -> dict:
    # The seed hangs on the golden case, not on its place: what a case shows does not change when others are added.
    try:
        made = sampling.one(tools.engine(), case.prompt, SEED + (case.golden_case or 0), tools.shape)
    except EngineError as problem:
        return {"ended": Ended.BROKEN, "detail": f"{type(problem).__name__}: {problem}"[:500]}
    if made.clip is None or float(made.clip.std()) < weekly_figures.LEAST_SPREAD:
        why = "the latent was not finite" if made.clip is None else "the clip is flat"
        return {"ended": Ended.BROKEN, "detail": why, "steps_run": made.steps_run}
    fps = tools.model.can.fps
    keep_as = f"evaluations/{case.run_id}/{case.number:04d}.mp4"
    return _taken(case, made, fps, tools.model, STEPS, keep_as) | _measured(case, made.clip, fps, tools)


def _taken(
    case: EvaluationCase,
    made: sampling.Sample,
    fps: int,
    model: RegisteredModel,
    steps: int,
    keep_as: str = "",
) -> dict:
    subject = f"evaluation:{case.run_id}:{case.number}"
    arrived = whole_way.take(made.clip, fps, subject, model, steps, keep_as)
    return {
        "ended": arrived.ended,
        "reached_gates": True,
        "violation": case.must_block and arrived.ended == Ended.DELIVERED,
        "scan": arrived.scan,
        "credentials": arrived.credentials,
        "path": arrived.path,
        "detail": arrived.detail,
        "steps_run": made.steps_run,
    }


def _measured(case: EvaluationCase, clip: np.ndarray, fps: int, tools: _Tools) -> dict:
    found = {
        "warp_error": round(coherence.warp_error(clip), 6),
        "features": [round(float(value), 6) for value in tools.features([clip])[0]],
    }
    try:
        return found | {"alignment": tools.judge.rate(case.prompt, clip, fps)}
    except alignment.JudgeUnavailable as problem:
        return found | {"detail": f"{weekly_figures.UNRATED}: {problem}"[:500]}


def _store(case: EvaluationCase, found: dict, ms: int) -> None:
    EvaluationCase.objects.filter(pk=case.pk, done_at=None).update(**found, ms=ms, done_at=Now())
    case.refresh_from_db()


def _halt(run: EvaluationRun, case: EvaluationCase) -> EvaluationRun:
    """Something that must be blocked came through: nothing more is run, nothing is delivered by itself."""
    what = f"{case.get_part_display()}, case {case.number} ({case.category})"
    evidence = {"run": run.pk, "case": case.number, "category": case.category, "scan": case.scan}
    evidence |= {"model": str(run.model), "golden_case": case.golden_case}
    with transaction.atomic():
        _end(run, State.HALTED, weekly_figures.of(run), [f"{what} would have been delivered"])
        incidents.open_incident(
            SafetyIncident.Kind.EVALUATION,
            incident_cause(run),
            f"{run} let a clip through that must be blocked",
            subject=f"evaluation:{run.pk}:{case.number}",
            evidence=evidence,
            by="the weekly evaluation",
            text=f"{what} would have been delivered. The run was halted, no deploy gate passes meanwhile, and every "
            "clip goes to review until somebody undoes that on the page Policy.",
        )
        reason = f"{run} let a clip through that must be blocked: people decide about every clip."
        holding.hold_every_clip(weekly_plan.FRAME_CLASS.get(case.category), "the weekly evaluation", reason)
        operations.report("evaluation.halted", "critical", f"evaluation:{run.pk}", evidence)
    return run


def incident_cause(run: EvaluationRun) -> str:
    return f"evaluation:{run.pk}"


def _finish(run: EvaluationRun, tools: _Tools) -> EvaluationRun:
    figures = weekly_figures.of(run)
    missed = weekly_figures.missed(run, figures)
    with transaction.atomic():
        _end(run, State.FAILED if missed else State.PASSED, figures, missed)
        if missed:
            operations.report("evaluation.not_passed", "error", f"evaluation:{run.pk}", {"missed": missed})
        dropped = weekly_figures.dropped(run)
        if dropped is not None:
            operations.report("evaluation.alignment_dropped", "error", f"evaluation:{run.pk}", dropped)
    return run


def _end(run: EvaluationRun, state: str, figures: dict, missed: list[str]) -> None:
    EvaluationRun.objects.filter(pk=run.pk, state=State.RUNNING).update(
        state=state, figures=figures, missed=missed, finished_at=Now()
    )
    run.refresh_from_db()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of this evaluation; PostgreSQL lets it go where the process dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            raise AlreadyRunning("another process runs the weekly evaluation")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])

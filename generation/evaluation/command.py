"""The parts of `manage.py evals` that look at the whole pipeline. Each prints one line of JSON, and fails loudly."""

import json
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable
from typing import Any, TextIO

from django.core.management.base import CommandError
from django.utils import timezone

from generation import registry
from generation.evaluation.case_records import EvaluationRun
from generation.models import Kind, RegisteredModel

Progress = Callable[[int, int], None]


def add_arguments(suites: "_SubParsersAction[ArgumentParser]") -> None:
    """deploy-gate, weekly, online, reference."""
    gate = suites.add_parser("deploy-gate", help="may this release go out? exit code 0 only where all holds")
    _model(gate)
    gate.add_argument(
        "--quick", action="store_true", help="all of child safety, every tenth prompt of the rest"
    )
    gate.add_argument("--clips", type=int, default=3, help="made by the model through the whole pipeline")
    weekly = suites.add_parser(
        "weekly", help="golden, adversarial and painted cases through the whole pipeline"
    )
    _model(weekly)
    weekly.add_argument("--short", action="store_true", help="40 clips and 100 prompts, for CI")
    weekly.add_argument(
        "--resume", action="store_true", help="go on with the run that was interrupted, if any"
    )
    online = suites.add_parser(
        "online", help="measure delivered clips, for the bridge to what people did then"
    )
    online.add_argument("--n", type=int, default=50, help="clips at most")
    made = suites.add_parser(
        "reference", help="make the reference distribution of the chosen feature network"
    )
    made.add_argument("--n", type=int, default=600, help="clips of the shapes world")


def _model(parser: ArgumentParser) -> None:
    parser.add_argument("--model", help="the one that ships where left out")
    parser.add_argument("--revision", help="or its beginning; the active one where left out")


def deploy_gate(options: dict, out: TextIO, progress: Progress, author: str) -> None:
    from generation.evaluation import release_gate
    from generation.revisions import loading

    run = release_gate.run(
        _chosen(options), loading.load, author, timezone.now(), options["quick"], options["clips"]
    )
    for check in run.figures["checks"]:
        mark = "ok" if check["passed"] else f"NOT: wanted {check['wanted']}. {check['detail']}"
        out.write(f"  {check['name']:<24} {check['found']}  {mark}")
    _end(run, out)


def weekly(options: dict, out: TextIO, progress: Progress, author: str) -> None:
    from generation.evaluation import weekly as suite
    from generation.revisions import loading

    try:
        run = suite.interrupted(options["short"]) if options["resume"] else None
        run = suite.carry_out(
            run or suite.begin(_chosen(options), options["short"], author), loading.load, progress
        )
    except suite.AlreadyRunning as problem:
        raise CommandError(str(problem)) from problem
    for name, figure in run.figures.items():
        out.write(f"  {name:<18} {'not applicable' if figure is None else f'{figure:g}'}")
    _end(run, out)


def online(options: dict, out: TextIO, progress: Progress, author: str) -> None:
    from generation.evaluation import online as measuring

    done = measuring.measure(options["n"], progress)
    out.write(json.dumps({"measured": done.measured, "skipped": done.skipped}))


def reference(options: dict, out: TextIO, progress: Progress, author: str) -> None:
    from generation.engines.training.world import render
    from generation.evaluation import coherence, feature_net, scoring

    features, network = feature_net.chosen()
    scenes, _ = scoring.unseen_prompts(options["n"], REFERENCE_SEED, None)
    found = coherence.distribution(features([render(scene) for scene in scenes]))
    coherence.store(found, network, f"{options['n']} renders of the shapes world, seed {REFERENCE_SEED}")
    out.write(json.dumps({"network": network, "clips": found.count}))


REFERENCE_SEED = 830_001
RUNS: dict[str, Callable[[dict, Any, Progress, str], None]] = {
    "deploy-gate": deploy_gate,
    "weekly": weekly,
    "online": online,
    "reference": reference,
}


def _chosen(options: dict) -> RegisteredModel:
    if options["revision"]:
        return registry.revision(options["model"] or "pocket-video", options["revision"])
    return registry.find(options["model"], Kind.CLIP)


def _end(run: EvaluationRun, out: TextIO) -> None:
    row = {
        "evaluation": run.pk,
        "suite": run.suite,
        "short": run.short,
        "model": str(run.model),
        "state": run.state,
        "missed": run.missed,
        "figures": run.figures,
        "device": run.device,
        "code_version": run.code_version,
    }
    out.write(json.dumps(row))
    if run.state != EvaluationRun.State.PASSED:
        raise CommandError(f"{run} {run.get_state_display().lower()}: {'; '.join(run.missed)}")

"""Evaluations: of models (`prompts`, `deploy`), of a release (`deploy-gate`), of the whole pipeline (`weekly`).

`online` measures delivered clips; `reference` makes the distribution that coherence is measured against; `list` shows
what was run.
"""

import getpass
import json
import os
import time
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import ApiError
from generation import registry
from generation.evaluation import command as evals_pipeline
from generation.evaluation import measured
from generation.models import Evaluation
from generation.revisions import rollout

SEED = 900_001
MOST_AT_ONCE = 2


class Command(BaseCommand):
    help = (
        "Evaluate a model (prompts, deploy), a release (deploy-gate) or the whole pipeline (weekly, online)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        suites = parser.add_subparsers(dest="suite", required=True)
        prompts = suites.add_parser("prompts", help="match rates over unseen prompts, through the engine")
        _model_arguments(prompts)
        prompts.add_argument("--n", type=int, default=200, help="prompts")
        prompts.add_argument("--seed", type=int, default=SEED)
        prompts.add_argument("--precision", help="bf16, fp32, int8, fp8; the model's full one where left out")
        prompts.add_argument("--held-out", action="store_true", help="only pairs that were never trained on")
        prompts.add_argument("--steps", type=int, default=30)
        at_once = max(1, min(MOST_AT_ONCE, len(os.sched_getaffinity(0))))
        prompts.add_argument("--at-once", type=int, default=at_once, help="clips side by side")
        prompts.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="an engine option to try, such as compile=true; the model's own where left out",
        )
        prompts.add_argument("--sheet", type=Path, help="write a contact sheet of the first prompts")
        prompts.add_argument("--require-aims", action="store_true", help="exit 1 below the aims")
        prompts.add_argument(
            "--export",
            nargs="?",
            type=Path,
            const=measured.FOLDER,
            help="add the figures to what ships with the repository",
        )
        deploy = suites.add_parser("deploy", help="put a revision through the deploy gate")
        _model_arguments(deploy)
        deploy.add_argument(
            "--promote", action="store_true", help="and make it the active one where it passes"
        )
        evals_pipeline.add_arguments(suites)
        listed = suites.add_parser("list", help="what was run")
        listed.add_argument("--model")

    def handle(self, *args: object, **options: object) -> None:
        try:
            if options["suite"] in evals_pipeline.RUNS:
                evals_pipeline.RUNS[options["suite"]](options, self.stdout, _Progress(self.stderr), _author())
            else:
                getattr(self, f"_{options['suite']}")(options)
        except ApiError as error:
            raise CommandError(error.message) from error

    def _prompts(self, options: dict) -> None:
        from generation.engines.errors import EngineError
        from generation.evaluation import prompts
        from generation.revisions import loading

        model = registry.revision(options["model"], options["revision"])
        precision = options["precision"] or model.precision
        asked = prompts.Asked(
            count=options["n"],
            seed=options["seed"],
            precision=precision,
            held_out=options["held_out"],
            steps=options["steps"],
            at_once=options["at_once"],
            options=_engine_options(options["option"]),
            sheet=options["sheet"],
        )
        try:
            engine = loading.load(model, precision, asked.options)
            done = prompts.run(model, engine, asked, _author(), _Progress(self.stderr))
        except (EngineError, prompts.NoPromptsFit) as problem:
            raise CommandError(str(problem)) from problem
        done.save()
        done.refresh_from_db()
        if options["export"]:
            measured.export(done, options["export"])
        self._show(done)
        if options["require_aims"] and not done.passed:
            raise CommandError(f"below the aims: {', '.join(rollout.missed(done))}")

    def _deploy(self, options: dict) -> None:
        from generation.evaluation import deploy
        from generation.revisions import loading

        model = registry.revision(options["model"], options["revision"])
        done = deploy.run(model, loading.load, _author())
        self._show(done)
        if not done.passed:
            raise CommandError(f"the gate was not passed: {done.problem or ', '.join(rollout.missed(done))}")
        if options["promote"]:
            promoted = rollout.promote_by_itself(model, done, _author())
            self.stdout.write(f"{model} serves now" if promoted else f"{model} was no candidate any more")

    def _list(self, options: dict) -> None:
        found = Evaluation.objects.select_related("model").order_by("-at", "-pk")
        if options["model"]:
            found = found.filter(model__name=options["model"])
        for row in found[:50]:
            self.stdout.write(_line(row))

    def _show(self, done: Evaluation) -> None:
        """A table for people, then the same as one line of JSON."""
        self.stdout.write(_line(done))
        for name, figure in done.figures.items():
            floor = done.floors.get(name)
            mark = "" if floor is None else f"  at least {floor:g}  {'ok' if figure >= floor else 'BELOW'}"
            self.stdout.write(f"  {name:<18} {figure:>8.4g}{mark}")
        if done.problem:
            self.stdout.write(f"  {done.problem}")
        row = {
            "model": done.model.name,
            "revision": done.model.revision,
            "suite": done.suite,
            "precision": done.precision,
            "seed": done.seed,
            "n": done.count,
            "steps": done.steps,
            "figures": done.figures,
            "floors": done.floors,
            "passed": done.passed,
            "seconds": done.seconds,
            "device": done.device,
            "code_version": done.code_version,
            "evaluation": done.pk,
        }
        self.stdout.write(json.dumps(row))


def _model_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default="pocket-video")
    parser.add_argument("--revision", help="or its beginning; the newest registered one where left out")


def _engine_options(written: list[str]) -> dict:
    """`compile=true` and the like; values are JSON, or text where they are none."""
    options = {}
    for pair in written:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise CommandError(f"--option is NAME=VALUE, not {pair!r}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def _line(row: Evaluation) -> str:
    result = "passed" if row.passed else "not passed"
    return (
        f"{row.at or 'now'!s:.19}  {row.model}  {row.suite} at {row.precision}, {row.count} prompts, "
        f"seed {row.seed}: {result} in {row.seconds:g} s, by {row.author}"
    )


def _author() -> str:
    """Who runs the command, as the machine knows them."""
    return f"{getpass.getuser()} at the command line"


class _Progress:
    """A line every few seconds, on the error stream, so that the output stays clean."""

    EVERY_S = 5.0

    def __init__(self, stream) -> None:
        self.stream, self.began, self.said = stream, time.monotonic(), time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self.said < self.EVERY_S and done < of:
            return
        self.said = now
        left = (now - self.began) / done * (of - done)
        self.stream.write(f"{done} of {of}, about {left:.0f} s left")

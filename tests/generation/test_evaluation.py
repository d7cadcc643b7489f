"""Evaluations: what is counted, through which engine, what lets a revision into service and what keeps it out."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry, OperationalEvent
from generation import registry
from generation.engines.errors import ModelUnavailable
from generation.engines.training.world import FRAMES, SIZE, render
from generation.evaluation import candidates, deploy, effects, measured, sampling, scoring
from generation.models import Evaluation, RegisteredModel
from generation.revisions import loading
from safety.models import Credential
from tests.generation.rollout_stage import candidate, gate_run
from tests.generation.tiny_models import write_video_model

SHAPES = {
    "sizes": [f"{SIZE}x{SIZE}"],
    "seconds": [2],
    "fps": FRAMES // 2,
    "guidance": 4.0,
    "world": "shapes",
}


@dataclass
class State:
    work: object
    index: int = 0

    @property
    def done(self) -> bool:
        return self.index >= self.work.steps


class Painter:
    """An engine's face with the world's own renderer behind it: what a perfect model would make."""

    device_name = "a painter"

    def __init__(self, finite: bool = True, right: bool = True) -> None:
        self.is_finite, self.right = finite, right
        self.scenes = {}
        for seed, held_out in ((1, False), (1, True), (deploy.SEED, False)):
            for count in (3, 8):
                drawn = zip(*reversed(scoring.unseen_prompts(count, seed, held_out)), strict=True)
                self.scenes.update(drawn)

    def start(self, work) -> State:
        return State(work)

    def step(self, state: State) -> None:
        state.index += 1

    def finite(self, state: State) -> bool:
        return self.is_finite

    def decode(self, state: State) -> np.ndarray:
        if self.right:
            return render(self.scenes[state.work.prompt])
        return np.random.default_rng(0).integers(0, 255, (FRAMES, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def painter(monkeypatch) -> Painter:
    engine = Painter()
    monkeypatch.setattr(loading, "load", lambda model, precision, options=None: engine)
    return engine


def shapes_candidate(**fields) -> RegisteredModel:
    return candidate(facts=SHAPES, **fields)


def test_what_the_world_renders_matches_in_everything():
    scenes, prompts = scoring.unseen_prompts(12, 5)
    rates = scoring.match_rates(scenes, scoring.verdicts_on([render(scene) for scene in scenes]))
    assert {name: rates[name] for name in (*scoring.ATTRIBUTES, "all")} == dict.fromkeys(
        (*scoring.ATTRIBUTES, "all"), 1.0
    )
    assert len(set(prompts)) == 12
    assert scoring.unseen_prompts(12, 5)[1] == prompts


def test_the_aims_are_those_of_the_issue_and_a_tenth_lower_for_held_out_pairs():
    assert scoring.aims(False) == {
        "background": 0.98,
        "colour": 0.97,
        "motion": 0.95,
        "shape": 0.9,
        "all": 0.85,
    }
    assert scoring.aims(True)["all"] == 0.75


@pytest.mark.django_db
class TestPrompts:
    def test_the_command_stores_prints_and_passes_what_reaches_the_aims(self, painter, capsys, tmp_path):
        model = shapes_candidate()
        sheet = tmp_path / "sheet.png"
        call_command("evals", "prompts", "--n=8", "--seed=1", "--require-aims", f"--sheet={sheet}")
        row = Evaluation.objects.get(model=model)
        assert (row.suite, row.count, row.seed, row.precision, row.steps) == ("prompts", 8, 1, "bf16", 30)
        assert row.passed
        assert row.figures["all"] == 1.0
        assert row.floors == scoring.aims(False)
        printed = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        assert printed["figures"] == row.figures
        assert printed["evaluation"] == row.pk
        assert sheet.stat().st_size > 1000

    def test_below_the_aims_it_exits_with_an_error_but_keeps_the_figures(self, painter):
        painter.right = False
        model = shapes_candidate()
        with pytest.raises(CommandError, match="below the aims: all 0.0 below 0.75"):
            call_command("evals", "prompts", "--n=3", "--seed=1", "--held-out", "--require-aims")
        row = Evaluation.objects.get(model=model)
        assert (row.suite, row.passed) == ("held-out", False)
        assert row.floors == scoring.aims(True)

    def test_a_model_of_another_world_has_no_prompts(self, painter):
        candidate(facts={**SHAPES, "world": ""})
        with pytest.raises(CommandError, match="nothing of a world"):
            call_command("evals", "prompts", "--n=3")
        assert not Evaluation.objects.filter(suite="prompts").exists()

    def test_a_clip_that_is_not_finite_counts_as_a_miss(self, painter):
        painter.is_finite = False
        model = shapes_candidate()
        call_command("evals", "prompts", "--n=3", "--seed=1")
        row = Evaluation.objects.get(model=model)
        assert (row.figures["finite"], row.figures["all"], row.passed) == (0.0, 0.0, False)

    def test_figures_ship_for_their_own_revision_only_and_never_as_a_gate(self, painter, tmp_path):
        model = shapes_candidate()
        call_command("evals", "prompts", "--n=3", "--seed=1", f"--export={tmp_path}")
        measured.export(gate_run(model), tmp_path)
        assert measured.bring_in(shapes_candidate(), tmp_path) == []
        assert [row.suite for row in measured.bring_in(model, tmp_path)] == ["prompts"]
        assert measured.bring_in(model, tmp_path) == []
        assert effects.of([model])[model.pk].variants[0].rates["all"] == 1.0


@pytest.mark.django_db
class TestGate:
    @pytest.fixture(autouse=True)
    def signing_home(self, settings, tmp_path):
        settings.WORK_ROOT = tmp_path

    def test_a_whole_model_passes_and_leaves_trusted_credentials(self):
        model = shapes_candidate()
        run = deploy.run(model, lambda m, p: Painter(), "a test")
        assert (run.passed, run.problem) == (True, "")
        assert run.floors == {**deploy.CLIP_FLOORS, "match": deploy.MATCH_FLOOR}
        assert {name: run.figures[name] for name in run.floors} == dict.fromkeys(run.floors, 1.0)
        assert Credential.objects.get(subject=f"gate:{model}").state == "Trusted"
        assert not OperationalEvent.objects.filter(kind="model.gate_failed").exists()

    @pytest.mark.parametrize(
        ("engine", "below"), [(Painter(finite=False), "finite"), (Painter(right=False), "match")]
    )
    def test_a_model_that_breaks_or_does_not_follow_is_kept_out(self, engine, below):
        model = shapes_candidate()
        run = deploy.run(model, lambda m, p: engine, "a test")
        assert not run.passed
        assert run.figures[below] < run.floors[below]
        assert OperationalEvent.objects.get(kind="model.gate_failed").subject == f"model:{model}"

    def test_a_model_that_can_not_be_loaded_fails_with_the_reason(self, tmp_path):
        model = shapes_candidate(folder=str(tmp_path / "nowhere"))
        run = deploy.run(model, loading.load, "a test")
        assert not run.passed
        assert run.problem.startswith(ModelUnavailable.__name__)

    def test_a_model_whose_own_code_crashes_fails_and_raises_nothing(self):
        def load(model, precision):
            raise KeyError("no such layer")

        run = deploy.run(shapes_candidate(), load, "a test")
        assert (run.passed, run.problem) == (False, "crashed with KeyError: 'no such layer'")

    def test_each_precision_that_is_offered_must_be_whole(self):
        model = candidate(facts={**SHAPES, "precisions": ["bf16", "int8"]})
        asked = []

        def load(model, precision):
            asked.append(precision)
            return Painter(finite=precision == "bf16")

        run = deploy.run(model, load, "a test")
        assert asked == ["bf16", "int8"]
        assert (run.passed, run.figures["finite"]) == (False, 0.75)

    def test_a_shipped_candidate_serves_once_it_passed_and_the_old_one_until_then(self, painter):
        before = registry.find("pocket-video", "clip")
        new = shapes_candidate()
        painter.is_finite = False
        assert candidates.admit("clips") == []
        assert registry.find("pocket-video", "clip") == before
        painter.is_finite = True
        assert candidates.admit("clips") == [new]
        assert registry.find("pocket-video", "clip") == new
        assert AuditEntry.objects.get(target=f"model:{new.pk}").actor_name == candidates.AUTHOR
        assert candidates.admit("clips") == []

    def test_a_signer_that_does_not_answer_in_time_says_nothing_about_a_revision(
        self, painter, settings, monkeypatch
    ):
        monkeypatch.setattr(candidates, "PAUSE_S", 0.0)
        budgets, tried = [0.0, 0.0, settings.SIGNING_BUDGET_SECONDS], []

        def load(model, precision, options=None):
            settings.SIGNING_BUDGET_SECONDS = budgets[len(tried)]
            tried.append(precision)
            return painter

        monkeypatch.setattr(loading, "load", load)
        new = shapes_candidate()
        assert candidates.admit("clips") == [new]
        assert registry.find("pocket-video", "clip") == new
        problems = Evaluation.objects.filter(model=new).order_by("pk").values_list("problem", flat=True)
        assert [problem.partition(":")[0] for problem in problems] == ["SigningUnavailable"] * 2 + [""]

    def test_a_revision_that_fails_for_itself_is_tried_once(self, painter):
        painter.is_finite = False
        new = shapes_candidate()
        assert candidates.admit("clips") == []
        assert Evaluation.objects.filter(model=new).count() == 1

    def test_what_an_operator_registered_waits_for_the_operator(self, painter, tmp_path):
        candidate(facts=SHAPES, folder=str(tmp_path))
        assert candidates.admit("clips") == []
        assert not Evaluation.objects.filter(model__folder=str(tmp_path)).exists()


@pytest.mark.django_db
def test_through_the_real_engine_the_clips_do_not_depend_on_how_many_are_made_at_once(tmp_path):
    facts = {"sizes": ["32x32"], "seconds": [1], "fps": 4, "guidance": 3.0}
    folder = write_video_model(tmp_path)
    (folder / "backlot.json").write_text(
        json.dumps({"width": 32, "height": 32, "frames": 4, "fps": 4, "sizes": ["32x32"], "seconds": [1]})
    )
    model = candidate(facts=facts, folder=str(folder), precision="fp32")
    engine, shape = loading.load(model, "fp32"), sampling.shape_of(model, steps=3)
    prompts = ["a red ball", "a blue box", "rain"]
    one, two = (sampling.many(engine, prompts, 7, shape, n, lambda done, of: None) for n in (1, 2))
    assert [sample.steps_run for sample in one] == [3, 3, 3]
    assert all(np.array_equal(a.clip, b.clip) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0].clip, one[1].clip)

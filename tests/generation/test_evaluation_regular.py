"""Evaluations that begin by themselves, and the clips of old ones."""

import os
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from generation.evaluation import labels, regular
from generation.evaluation.case_records import KEPT_RUNS, EvaluationCase, EvaluationRun
from generation.models import RegisteredModel
from tests.generation.api_stage import media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


def run(ago: timedelta = timedelta(0), state: str = "failed", short: bool = False) -> EvaluationRun:
    at = timezone.now() - ago
    return EvaluationRun.objects.create(
        suite="weekly",
        short=short,
        model=RegisteredModel.objects.filter(pool__slug="clips").first(),
        state=state,
        seed=1,
        code_version="test",
        author="test",
        started_at=at,
        finished_at=None if state == "running" else at,
    )


@pytest.fixture
def begun(monkeypatch) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    class Started:
        pid = os.getpid()

        def __init__(self, command: list, **how: object) -> None:
            found.append(tuple(map(str, command[2:])))

        def poll(self) -> None:
            return None

    monkeypatch.setattr(regular.subprocess, "Popen", Started)
    monkeypatch.setattr(regular.os, "setpriority", lambda *told: None)
    monkeypatch.setattr(regular, "_started", [])
    return found


ONLINE, WEEKLY = ("evals", "online", "--n=50"), ("evals", "weekly", "--resume")


@pytest.mark.parametrize(
    ("runs", "due"),
    [
        ([], True),
        ([{"ago": timedelta(days=6)}], False),
        ([{"ago": timedelta(days=7)}], True),
        ([{"ago": timedelta(days=9)}, {"ago": timedelta(hours=1), "short": True}], True),
        ([{"ago": timedelta(days=1), "state": "running"}], True),
    ],
    ids=["never ran", "six days ago", "a week ago", "a short one since", "interrupted"],
)
def test_the_weekly_one_begins_when_it_is_due_or_was_interrupted(begun, settings, tmp_path, runs, due):
    settings.EVALUATE_REGULARLY, settings.HOME = True, tmp_path
    for one in runs:
        run(**one)
    assert regular.weekly_due(timezone.now()) is due
    regular.start(timezone.now())
    assert begun == [ONLINE, *([WEEKLY] if due else [])]


def test_nothing_begins_where_the_operator_wants_to_start_it(begun, settings):
    settings.EVALUATE_REGULARLY = False
    assert regular.start(timezone.now()) == []
    assert begun == []


def test_a_process_of_its_own_ends_by_itself_and_leaves_a_log(settings, tmp_path, monkeypatch):
    settings.HOME = tmp_path
    process = regular._begin("no-such-suite")
    assert process.wait(timeout=120) == 2
    assert "invalid choice" in (tmp_path / "logs" / "evaluations-no-such-suite.log").read_text()


def test_the_clips_of_old_runs_go_and_the_labelling_page_offers_none_of_them():
    runs = [run() for _ in range(KEPT_RUNS + 2)]
    for one in runs:
        name = default_storage.save(f"evaluations/{one.pk}/0000.mp4", ContentFile(b"clip"))
        EvaluationCase.objects.create(
            run=one, number=0, part="golden", prompt="a ball", must_block=False, done_at=timezone.now(),
            ended="delivered", credentials="Trusted", path=name, warp_error=0.1,
        )  # fmt: skip
    assert regular.forget_clips() == 2
    assert regular.forget_clips() == 0
    there = [default_storage.exists(f"evaluations/{one.pk}/0000.mp4") for one in runs]
    assert there == [False, False, *[True] * KEPT_RUNS]
    assert [case.run_id for case in labels.clips()] == [one.pk for one in reversed(runs[2:])]
    assert EvaluationCase.objects.count() == len(runs)


def test_nothing_to_forget_where_nothing_was_kept():
    assert regular.forget_clips() == 0

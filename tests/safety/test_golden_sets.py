"""The golden sets: complete, only growing, the same in files and table, and what the shipped filters make of them."""

import json

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.errors import ApiError
from accounts.models import OperationalEvent
from safety.golden import cases as golden
from safety.golden import frames as golden_frames
from safety.golden import generation as golden_generation
from safety.golden import pictures as golden_pictures
from safety.golden.cases import Case
from safety.models import GoldenCase, GoldenFinding, HashEntry, Scan
from safety.policy import seen as policy_seen
from safety.postfilter import gates

pytestmark = pytest.mark.django_db


def fields(case: GoldenCase) -> tuple:
    return case.suite, case.expected, case.category, tuple(case.kinds), case.text, json.dumps(case.recipe)


def test_the_sets_have_only_grown_since_the_last_release():
    released = json.loads(golden.RELEASED.read_text())
    lines = {name: len((golden.FOLDER / f"{name}.jsonl").read_text().splitlines()) for name in golden.FILES}
    assert set(released) == set(golden.FILES)
    for name, number in released.items():
        assert lines[name] >= number
        assert golden.counts()[name] >= number


def test_the_table_holds_every_case_of_the_files_once():
    assert golden.counts() == {"golden": 200, "adversarial": 1000, "frames": 64}
    assert golden.plant(GoldenCase) == 0
    shipped = {case["digest"] for case in golden.shipped()}
    assert len(shipped) == 1264
    assert shipped == set(GoldenCase.objects.values_list("digest", flat=True))


@pytest.mark.parametrize("suite", golden.FILES)
def test_the_released_files_are_what_their_recipe_makes(suite):
    made = {
        "golden": golden_generation.golden_prompts,
        "adversarial": golden_generation.adversarial_prompts,
        "frames": golden_generation.frame_cases,
    }
    lines = (golden.FOLDER / f"{suite}.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines][: len(list(made[suite]()))] == list(made[suite]())


def test_cases_are_read_by_kind_and_by_what_must_become_of_them():
    assert golden.cases("prompt").count() == 1200
    assert golden.cases("prompt", expected="must_pass").count() == 200
    assert golden.cases("frame", expected="must_block").count() == 40
    assert not golden.cases("frame").exclude(text="").exists()


@pytest.mark.parametrize(
    "write",
    [
        "UPDATE safety_goldencase SET text = 'something else'",
        "UPDATE safety_goldencase SET expected = 'must_pass', category = ''",
        "DELETE FROM safety_goldencase",
        "TRUNCATE safety_goldencase CASCADE",
        "UPDATE safety_goldencase SET retired_at = now()",
        "UPDATE safety_goldencase SET retired_at = now(), retired_by = 'x', retired_reason = 'x' "
        "WHERE category = 'child_safety'",
        "INSERT INTO safety_goldencase (suite, expected, category, kinds, text, source, reason, author, digest, "
        "retired_by, retired_reason) SELECT suite, expected, category, kinds, text, source, reason, author, digest, "
        "'', '' FROM safety_goldencase LIMIT 1",
    ],
)
def test_the_database_refuses_changes_deletion_and_doubles(write):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(write)
    assert GoldenCase.objects.filter(retired_at=None).count() == 1264


def test_a_decision_adds_a_case_and_the_same_twice_is_one():
    case = Case("must_block", "violence", text="a decision about zeppelins")
    added = golden.add(case, "review:12", "it was let through", "reviewer@example.com")
    assert (added.suite, added.kinds, added.source) == ("adversarial", ["clip"], "review:12")
    assert golden.add(case, "review:13", "again", "other@example.com").pk == added.pk
    with pytest.raises(ApiError, match="says otherwise"):
        golden.add(Case("must_pass", text=case.text), "review:14", "harmless after all", "x@example.com")
    golden.retire(added.pk, "harmless after all", "x@example.com", timezone.now())
    again = golden.add(Case("must_pass", text=case.text), "review:14", "harmless after all", "x@example.com")
    assert (again.suite, again.expected) == ("golden", "must_pass")
    assert golden.counts()["adversarial"] == 1001
    assert added not in golden.cases("prompt")


def test_what_is_no_case_is_refused():
    for case in (
        Case("must_block", "", text="x"),
        Case("must_pass", "violence", text="x"),
        Case("must_pass"),
    ):
        with pytest.raises(ApiError):
            golden.add(case, "test", "a test", "x")
    with pytest.raises(ApiError, match="Say why"):
        golden.add(Case("must_pass", text="x"), "test", " ", "x")
    marked = golden.cases("frame").filter(category="child_safety").first()
    with pytest.raises(ApiError, match="never retired"):
        golden.retire(marked.pk, "why not", "x", timezone.now())
    with pytest.raises(ApiError, match="no golden case"):
        golden.retire(0, "why not", "x", timezone.now())


def test_the_shipped_gates_are_shown_every_picture_and_nobody_is_alarmed():
    gates._made.cache_clear()
    assert golden_pictures.register("test") == 16
    assert golden_pictures.register("test") == 0
    looked = golden_frames.look()
    assert looked.pictures == 64
    subjects, unseen = policy_seen.golden_frames()
    assert (len(subjects), unseen) == (64, 0)
    scores = {s.name: max((f.score for f in s.frames), default=0) for s in subjects}
    for case in golden.cases("frame"):
        assert (scores[f"golden case {case.pk}"] >= 0.9) == (case.expected == "must_block"), case.recipe
    assert not Scan.objects.exists()
    assert not OperationalEvent.objects.exists()
    assert HashEntry.objects.count() == 16


def test_findings_of_other_gates_do_not_count():
    gates._made.cache_clear()
    now = timezone.now()
    assert golden_frames.stale(now)
    golden_frames.look()
    assert not golden_frames.stale(now)
    assert golden_frames.stale(now + golden_frames.LOOKS_LAST + golden_frames.LOOKS_LAST)
    GoldenFinding.objects.filter(gate="canary-marks").update(gate_version="0")
    assert golden_frames.stale(now)
    assert policy_seen.golden_frames() == ([], 64)

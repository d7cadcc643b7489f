"""Likeness kinds, clips with faces, review levels: what a scan makes of them, and what its verdicts name."""

from datetime import timedelta

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import actions
from safety.models import LikenessThreshold, ScanPolicy, Threshold
from safety.policy import scans as policy_scans
from safety.policy import thresholds
from safety.policy.actions import ChangeScanPolicy, ChangeThreshold
from safety.postfilter import gates
from safety.postfilter.scan import scan_frames
from tests.safety.clips import shape_world
from tests.safety.policy_stage import Painted, guardian, paint

pytestmark = pytest.mark.django_db
STAGE = "tests.safety.policy_stage."


@pytest.fixture(autouse=True)
def _painted(settings):
    settings.SAFETY_GATES = [STAGE + "Painted"]
    gates._made.cache_clear()


def blank(frames: int = 6) -> np.ndarray:
    """Frames in which the painted gates see nothing."""
    clip = shape_world(frames)
    clip[:, :4, 0] = 0
    return clip


def change(action, expires_at=None):
    return actions.perform(action, guardian(), "a test", expires_at)


@pytest.mark.parametrize(
    ("kind", "verdict", "version"),
    [
        ("private_person", "review", "private_person 1"),
        ("public_figure", "review", "public_figure 1"),
        ("politician", "block", "politician 1+o{}"),
        ("", "block", "politician 1+o{}, 1"),
    ],
)
def test_each_kind_of_person_has_scores_of_its_own_and_an_unknown_one_the_strictest(kind, verdict, version):
    entry = change(ChangeThreshold("likeness/politician", "block_score", 0.75))
    scan = scan_frames(paint(blank(), 0, "likeness", 0.8, kind=kind), "p", 1)
    assert scan.verdict == verdict
    row = scan.verdicts.get(frame_class="likeness", frame_index=0)
    assert row.threshold_version == version.format(entry.undo["override"])


def test_a_kind_that_no_row_knows_is_unknown():
    class Odd(Painted):
        KINDS = ("", "a stranger", "public_figure", "politician")

    change(ChangeThreshold("likeness/politician", "review_score", 0.1))
    found = thresholds.effective(timezone.now())["likeness"]
    for evidence in ({"likeness_kind": "a stranger"}, {"likeness_kind": 7}, {"likeness_kind": None}, {}):
        assert found.for_evidence(evidence).review_score == 0.1
    assert found.for_evidence({"likeness_kind": "private_person"}).review_score == 0.7


def test_likeness_without_a_row_for_every_kind_can_not_pass():
    LikenessThreshold.objects.filter(kind="politician").delete()
    scan = scan_frames(blank(), "p", 1)
    assert (scan.verdict, scan.reason) == (
        "unavailable",
        "unavailable for likeness by none: the class has no threshold",
    )


@pytest.mark.parametrize(
    ("level", "score", "verdict"),
    [
        ("by_score", 0.3, "pass"),
        ("any_sign", 0.3, "review"),
        ("any_sign", 0.0, "pass"),
        ("everything", 0.0, "review"),
        ("everything", 0.95, "block"),
    ],
)
def test_a_review_level_sends_more_to_people_and_never_less(level, score, verdict):
    change(ChangeScanPolicy("violence", "violence", level)) if level != "by_score" else None
    scan = scan_frames(paint(blank(), 5, "violence", score), "p", 1)
    assert scan.verdict == verdict
    assert not scan.verdicts.filter(frame_class="child_safety").exclude(outcome="pass").exists()


def test_what_a_level_raised_says_so_with_the_version():
    entry = change(ChangeScanPolicy("violence", "violence", "any_sign"))
    row = scan_frames(paint(blank(), 5, "violence", 0.3), "p", 1).verdicts.get(outcome="review")
    assert row.threshold_version == f"1; scans 1+o{entry.undo['override']}"
    assert (row.evidence["raised_by"], row.evidence["raised_from"]) == ("review level", "pass")


@pytest.mark.parametrize("stance", ["review", "block"])
def test_no_faces_where_nothing_sees_faces_holds_back_every_clip(stance):
    change(ChangeScanPolicy("faces", "faces", stance))
    scan = scan_frames(blank(), "p", 1)
    assert scan.verdict == stance
    row = scan.verdicts.filter(outcome=stance).first()
    assert (row.frame_class, row.evidence["raised_by"]) == ("likeness", "faces: nobody can tell")


@pytest.mark.parametrize(("faces", "verdict"), [(0, "pass"), (1, "block"), (255, "block")])
def test_no_faces_with_a_gate_that_counts_them(settings, faces, verdict):
    settings.SAFETY_GATES = [STAGE + "Painted", STAGE + "PaintedFaces"]
    change(ChangeScanPolicy("faces", "faces", "block"))
    scan = scan_frames(paint(blank(), 5, "likeness", 0.0, faces=faces), "p", 1)
    assert scan.verdict == verdict
    if verdict == "block":
        row = scan.verdicts.get(outcome="block")
        assert (row.gate, row.frame_index) == ("painted-faces", 5)


def test_any_sign_of_likeness_is_a_face_also_for_a_gate_that_counts_none(settings):
    settings.SAFETY_GATES = [STAGE + "Painted", STAGE + "PaintedFaces"]
    change(ChangeScanPolicy("faces", "faces", "review"))
    assert scan_frames(paint(blank(), 0, "likeness", 0.2), "p", 1).verdict == "review"
    assert scan_frames(paint(blank(), 0, "violence", 0.2), "p", 1).verdict == "pass"


def test_a_change_returns_by_itself_when_its_time_is_over():
    now = timezone.now()
    entry = change(ChangeScanPolicy("faces", "faces", "block"), now + timedelta(seconds=2))
    assert policy_scans.in_force(timezone.now()).faces == "block"
    later = policy_scans.in_force(now + timedelta(seconds=3))
    assert (later.faces, later.version) == ("allow", "1")
    assert entry.after["expires_at"]


def test_without_its_row_every_clip_is_held_back():
    ScanPolicy.objects.all().delete()
    assert scan_frames(blank(), "p", 1).verdict == "review"


def test_the_database_refuses_scores_out_of_order_and_values_nobody_knows():
    for write in (
        lambda: LikenessThreshold.objects.filter(kind="politician").update(review_score=0.95),
        lambda: LikenessThreshold.objects.filter(kind="politician").update(block_score=1.5),
        lambda: ScanPolicy.objects.update(faces="perhaps"),
        lambda: ScanPolicy.objects.update(violence="never"),
        lambda: ScanPolicy.objects.create(name="other", author="x", reason="x"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            write()


def test_every_change_raises_the_version_and_keeps_the_row_before():
    before = thresholds.policy_version()
    LikenessThreshold.objects.filter(kind="politician").update(block_score=0.8)
    row = LikenessThreshold.objects.get(kind="politician")
    assert (row.version, thresholds.policy_version()) == (2, before + 1)
    events = row.events.order_by("pgh_id").values_list("pgh_label", "block_score")
    assert list(events)[-1] == ("update", 0.8)
    assert Threshold.objects.get(frame_class="likeness").version == 1

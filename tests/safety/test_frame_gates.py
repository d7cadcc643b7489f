"""The frame gates on real encoded clips: what passes, what is stopped, and that every failure stops everything."""

import hashlib
import time

import numpy as np
import pytest
from django.utils import timezone

from accounts.models import OperationalEvent
from safety.models import SAMPLED_CLASSES, FrameClass, HashEntry, Scan, Threshold, ThresholdOverride, Verdict
from safety.postfilter import canary, gates, hash_list
from safety.postfilter.scan import scan_file, scan_frames
from tests.safety.broken_gates import HANGS_S, Attentive
from tests.safety.clips import encoded, shape_world, textured

pytestmark = pytest.mark.django_db

BROKEN = "tests.safety.broken_gates."


@pytest.fixture(autouse=True)
def _new_gates():
    gates._made.cache_clear()


@pytest.fixture
def clip(tmp_path):
    def write(frames: np.ndarray, name: str = "clip.mp4"):
        path = tmp_path / name
        path.write_bytes(encoded(frames))
        return path

    return write


def event() -> OperationalEvent:
    return OperationalEvent.objects.get()


def test_a_harmless_clip_passes_with_a_verdict_for_every_frame(clip):
    path = clip(shape_world())
    scan = scan_file(path, "job-1", 2, 16)
    stored = Scan.objects.get()
    assert stored.pk == scan.pk
    assert (stored.verdict, stored.subject, stored.fence, stored.purpose) == ("pass", "job-1", 2, "final")
    assert stored.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stored.frames_total == 16
    assert stored.frames_scanned == {"child_safety": 16, "likeness": 4, "intimate": 4, "violence": 4}
    assert stored.finished_at >= stored.started_at
    for name in SAMPLED_CLASSES:
        rows = Verdict.objects.filter(scan=scan, frame_class=name).order_by("frame_index")
        assert list(rows.values_list("frame_index", "gate", "outcome", "threshold_version")) == [
            (index, "canary-marks", "pass", "1") for index in (0, 5, 10, 15)
        ]
    assert not OperationalEvent.objects.exists()


def test_a_nearly_flat_frame_is_unusable_for_the_hash_list_and_never_clean(clip, settings):
    path = clip(np.full((16, 64, 64, 3), (90, 140, 60), np.uint8))
    scan = scan_file(path, "job-1", 1, 16)
    assert scan.verdict == "pass"  # the canary gate has looked at every one of them
    hashes = scan.verdicts.filter(gate="pdq-hash-list")
    assert set(hashes.values_list("outcome", flat=True)) == {"unusable"}
    assert all(row.evidence["quality"] < hash_list.QUALITY_FLOOR for row in hashes)
    settings.SAFETY_GATES = ["safety.postfilter.hash_list.HashList"]
    alone = scan_file(path, "job-1", 1, 16)
    assert alone.verdict == "unavailable"
    assert "no gate could judge frame 0, 1, 2" in alone.reason
    assert alone.verdicts.filter(frame_class="child_safety", outcome="pass").count() == 0
    assert event().kind == "safety.scan_unavailable"


@pytest.mark.parametrize("index", [0, 1, 7, 13, 15])
def test_one_child_safety_frame_anywhere_blocks_and_nothing_else_is_asked(clip, index):
    frames = shape_world()
    frames[index] = canary.paint(frames[index], "child_safety")
    scan = scan_file(clip(frames), "job-1", 1, 16)
    assert (scan.verdict, scan.reason) == (
        "block",
        f"block for child_safety by canary-marks at frame {index}",
    )
    assert list(scan.verdicts.filter(outcome="block").values_list("frame_index", "gate")) == [
        (index, "canary-marks")
    ]
    assert not scan.verdicts.exclude(frame_class="child_safety").exists()
    assert (event().kind, event().severity, event().detail["classes"]) == (
        "safety.frames_blocked",
        "critical",
        ["child_safety"],
    )


@pytest.mark.parametrize("name", SAMPLED_CLASSES)
def test_the_other_classes_are_caught_on_sampled_frames_and_only_there(clip, name):
    on, between = shape_world(), shape_world()
    on[10] = canary.paint(on[10], name)
    between[11] = canary.paint(between[11], name)
    blocked = scan_file(clip(on), "job-1", 1, 16)
    assert (blocked.verdict, blocked.reason) == ("block", f"block for {name} by canary-marks at frame 10")
    assert (event().severity, event().detail["classes"]) == ("warning", [name])
    assert (
        scan_file(clip(between), "job-1", 1, 16).verdict == "pass"
    )  # what sampling can't see is stated, not hidden


def test_a_listed_picture_in_a_clip_blocks_also_where_it_was_made_smaller(clip):
    picture = textured(5)
    entry = hash_list.register(picture, source="test list", author="test")
    frames = np.stack([textured(seed, 180, 320) for seed in range(10, 18)])
    assert scan_file(clip(frames), "job-1", 1, 8).verdict == "pass"
    frames[6] = picture[::2, ::2]
    scan = scan_file(clip(frames), "job-1", 1, 8)
    assert (scan.verdict, scan.reason) == ("block", "block for child_safety by pdq-hash-list at frame 6")
    row = scan.verdicts.get(outcome="block")
    assert (row.score, row.evidence["entry"]) == (1.0, entry.pk)
    assert row.evidence["distance"] <= entry.radius == 31


def test_a_radius_is_kept_to_the_bit():
    picture = textured(6)
    digest = bytearray(hash_list.pdq(picture)[0])
    digest[0] ^= 0b111
    HashEntry.objects.create(pdq=digest.hex(), source="test", author="test", radius=3)
    assert scan_frames(picture[None], "p", 1).verdict == "block"
    HashEntry.objects.update(radius=2)
    assert scan_frames(picture[None], "p", 1).verdict == "pass"


def test_an_empty_list_vouches_for_nothing(settings):
    settings.SAFETY_GATES = ["safety.postfilter.hash_list.HashList", BROKEN + "SampledOnly"]
    frames = np.stack([textured(8)])
    assert scan_frames(frames, "p", 1).verdict == "unavailable"
    hash_list.register(textured(9), source="test", author="test")
    assert scan_frames(frames, "p", 1).verdict == "pass"


def test_a_listed_picture_of_a_sampled_class_counts_there():
    picture = textured(7)
    hash_list.register(picture, source="test", author="test", frame_class=FrameClass.INTIMATE)
    scan = scan_frames(picture[None], "p", 1)
    assert (scan.verdict, scan.reason) == ("block", "block for intimate by pdq-hash-list at frame 0")


def test_a_picture_without_texture_can_not_be_listed():
    with pytest.raises(ValueError, match="quality"):
        hash_list.register(shape_world(1)[0], source="test", author="test")
    assert not HashEntry.objects.exists()


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("Failing", "RuntimeError: the model fell over"),
        ("FailingOnViolence", "RuntimeError: the model fell over"),
        ("Hung", "no answer within 1 s"),
        ("HungOnIntimate", "no answer within 1 s"),
        ("Dying", "the gate ended without an answer"),
        ("Mute", "TypeError"),
        ("TooFew", "15 findings for 16 frames"),
        ("Nonsense", "not what the protocol says"),
        ("NotANumber", "unavailable for child_safety by failing at frame 0"),
        ("OutOfRange", "unavailable for child_safety by failing at frame 0"),
        ("Unavailable", "unavailable for child_safety by failing at frame 0"),
        ("Unprepared", "FileNotFoundError: no weights"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Dying does
def test_a_gate_that_fails_in_any_way_makes_the_scan_unavailable(clip, settings, gate, why):
    settings.SAFETY_GATES = [*gates.SHIPPED, BROKEN + gate]
    if gate.startswith("Hung"):
        # Beside one that answers at once: on a busy machine the gates that ship may need more than a second.
        settings.SAFETY_GATES = [BROKEN + "Attentive", BROKEN + gate]
        settings.SAFETY_GATE_SECONDS = 1
    started = time.monotonic()
    scan = scan_file(clip(shape_world()), "job-1", 1, 16)
    assert time.monotonic() - started < HANGS_S
    assert scan.verdict == "unavailable"
    assert why in scan.reason
    assert scan.verdicts.filter(outcome="unavailable", gate="failing").exists()
    assert (event().kind, event().severity, event().subject) == (
        "safety.scan_unavailable",
        "error",
        "asset:job-1",
    )
    assert why in event().detail["reason"]


def test_a_class_without_a_gate_or_without_a_threshold_is_unavailable(clip, settings):
    path = clip(shape_world())
    settings.SAFETY_GATES = [BROKEN + "ChildSafetyOnly"]
    scan = scan_file(path, "job-1", 1, 16)
    assert (scan.verdict, scan.reason) == (
        "unavailable",
        "unavailable for likeness by none: no gate is there for the class",
    )
    settings.SAFETY_GATES = []
    assert "child_safety by none" in scan_file(path, "job-1", 1, 16).reason
    settings.SAFETY_GATES = gates.SHIPPED
    Threshold.objects.filter(frame_class="intimate").delete()
    scan = scan_file(path, "job-1", 1, 16)
    assert (scan.verdict, scan.reason) == (
        "unavailable",
        "unavailable for intimate by none: the class has no threshold",
    )


def test_a_block_stays_a_block_where_another_gate_fails(clip, settings):
    settings.SAFETY_GATES = [*gates.SHIPPED, BROKEN + "Failing"]
    frames = shape_world()
    frames[3] = canary.paint(frames[3], "child_safety")
    assert scan_file(clip(frames), "job-1", 1, 16).verdict == "block"


def test_every_frame_for_child_safety_every_fifth_and_the_last_for_the_others_side_by_side(clip, settings):
    settings.SAFETY_GATES = [BROKEN + "Attentive"]
    scan = scan_file(clip(shape_world(240)), "job-1", 1, 240)
    assert scan.verdict == "pass"
    (gate,) = gates.gates()
    assert isinstance(gate, Attentive)
    assert gate.seen == {"child_safety": 240, "likeness": 49, "intimate": 49, "violence": 49}
    assert len(gate.threads) == 8 + 2 * 3  # 8 batches of up to 32 frames, then 2 batches for 3 classes


def test_thresholds_decide_live_and_verdicts_name_their_version(settings):
    settings.SAFETY_GATES = [BROKEN + "Unsure"]
    frames = shape_world(6)
    frames[5, 0, 0, 0] = 255
    frames[:5, 0, 0, 0] = 0
    first = scan_frames(frames, "p", 1)
    assert (first.verdict, first.reason) == ("review", "review for violence by unsure at frame 5")
    assert first.verdicts.get(outcome="review").threshold_version == "1"
    assert not OperationalEvent.objects.exists()
    violence = Threshold.objects.get(frame_class="violence")
    Threshold.objects.filter(pk=violence.pk).update(review_score=0.8)
    second = scan_frames(frames, "p", 1)
    assert (second.verdict, second.policy_version) == ("pass", first.policy_version + 1)
    assert second.verdicts.filter(frame_class="violence").first().threshold_version == "2"
    override = ThresholdOverride.objects.create(
        threshold=violence,
        field="block_score",
        value=0.6,
        author_kind="operator",
        author="a@b.c",
        reason="tighten",
    )
    third = scan_frames(frames, "p", 1)
    assert third.verdict == "block"
    assert third.verdicts.get(outcome="block").threshold_version == f"2+o{override.pk}"
    override.removed_at, override.removed_by = timezone.now(), "a@b.c"
    override.save()
    assert scan_frames(frames, "p", 1).verdict == "pass"


def test_a_preview_has_no_digest_and_a_final_scan_of_frames_can_not_pass():
    preview = scan_frames(shape_world(), "job-1", 1, "preview")
    assert (preview.verdict, preview.purpose, preview.digest) == ("pass", "preview", None)
    final = scan_frames(shape_world(), "job-1", 1, "final")
    assert final.verdict == "unavailable"
    assert "no digest" in final.reason


@pytest.mark.parametrize("expected", [15, 17])
def test_another_number_of_frames_than_announced(clip, expected):
    scan = scan_file(clip(shape_world(16)), "job-1", 1, expected)
    assert scan.verdict == "unavailable"
    assert scan.reason == f"the file holds 16 frames, {expected} were announced"
    assert event().kind == "safety.scan_unavailable"


@pytest.mark.parametrize("content", [None, b"", b"no film at all" * 50])
def test_a_file_that_is_missing_or_no_film(tmp_path, content):
    if content is not None:
        (tmp_path / "clip.mp4").write_bytes(content)
    scan = scan_file(tmp_path / "clip.mp4", "job-1", 1, 16)
    assert scan.verdict == "unavailable"
    assert scan.reason.startswith("the file can't be ")
    assert not scan.verdicts.exists()
    assert event().kind == "safety.scan_unavailable"


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 64, 64, 3), np.uint8), np.zeros((2, 64, 64), np.uint8), np.zeros((2, 64, 64, 3))]
)
def test_frames_of_another_form_are_unavailable(frames):
    assert scan_frames(frames, "p", 1).verdict == "unavailable"


def test_progress_is_told_and_may_stop_the_scan(clip):
    told = []
    scan_file(clip(shape_world()), "job-1", 1, 16, progress=lambda: told.append(1))
    assert len(told) == 2  # one batch for child safety, one for the others

    class LeaseLost(Exception):
        pass

    def lost():
        raise LeaseLost

    with pytest.raises(LeaseLost):
        scan_file(clip(shape_world()), "job-2", 1, 16, progress=lost)
    assert Scan.objects.get(subject="job-2").verdict is None  # it never ended, and that shows

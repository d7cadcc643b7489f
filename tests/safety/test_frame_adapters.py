"""Gates of one's own: what they say of frames, and that killed, hung or corrupted they let nothing pass."""

import json
import time

import numpy as np
import pytest
from django.core.checks import run_checks

from accounts.models import OperationalEvent
from bench.gate_models import (
    sha256,
    write_colour_onnx,
    write_embedding_onnx,
    write_vit,
    write_vit_body,
)
from safety.models import Threshold
from safety.postfilter import configured, deadline, gates, likeness
from safety.postfilter.frame_records import Likeness
from safety.postfilter.models import LoadedOnce, ModelFiles, ModelUnusable
from safety.postfilter.scan import scan_frames
from safety.postfilter.sidecar import AnswerInvalid, Sidecar
from tests.safety.clips import shape_world, textured
from tests.safety.sidecars import behaving, sidecar

pytestmark = pytest.mark.django_db


SIDE = {"gate": "sidecar", "id": "a", "version": "1", "url": "http://127.0.0.1:1/", "classes": ["violence"]}


@pytest.fixture(autouse=True)
def _new_gates():
    configured.gates_of.cache_clear()
    gates._made.cache_clear()
    deadline._left_behind.clear()


@pytest.fixture
def with_gates(settings, tmp_path):
    """Write the file of gates that this installation names."""

    def write(*entries: dict) -> tuple:
        path = tmp_path / "gates.json"
        path.write_text(json.dumps({"gates": entries}))
        settings.SAFETY_GATES_FILE = str(path)
        configured.gates_of.cache_clear()
        return configured.gates_of(str(path))

    return write


def colour(red: int = 0, green: int = 0, blue: int = 0, frames: int = 1) -> np.ndarray:
    return np.full((frames, 64, 64, 3), (red, green, blue), np.uint8)


def event() -> OperationalEvent:
    return OperationalEvent.objects.filter(kind="safety.scan_unavailable").get()


def onnx_entry(path, **more) -> dict:
    classes = {"violence": ["red"], "intimate": ["blue"]}
    return {"gate": "onnx", "id": "colours", "version": "1", "path": str(path), "classes": classes} | more


def test_a_folder_of_transformers_says_what_the_model_itself_says(with_gates, tmp_path):
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    folder = write_vit(tmp_path / "vit")
    (gate,) = with_gates(
        {
            "gate": "image_folder",
            "id": "vit",
            "version": "1",
            "path": str(folder),
            "sha256": sha256(folder / "model.safetensors"),
            "classes": {"intimate": ["explicit"], "violence": ["gore", "explicit"]},
        }
    )
    frames = np.stack([textured(seed, 40, 60) for seed in range(3)])
    with torch.inference_mode():
        inputs = AutoImageProcessor.from_pretrained(folder, backend="pil")(list(frames), return_tensors="pt")
        bare = AutoModelForImageClassification.from_pretrained(folder)(**inputs).logits.softmax(-1).numpy()
    intimate, violence = gate.prepare("intimate")(frames), gate.prepare("violence")(frames)
    assert [finding.score for finding in intimate] == pytest.approx(bare[:, 1].tolist(), abs=1e-5)
    assert [finding.score for finding in violence] == pytest.approx(
        (bare[:, 1] + bare[:, 2]).tolist(), abs=1e-5
    )
    assert intimate[0].evidence["label"] == "explicit"
    scan = scan_frames(frames, "p", 1)
    assert scan.verdicts.filter(gate="vit").count() == 2 * 2  # the first and the last frame, two classes
    assert scan.verdicts.filter(gate="vit").first().gate_version == "1"


def test_thresholds_decide_what_the_scores_of_an_onnx_file_mean(with_gates, tmp_path):
    with_gates(onnx_entry(write_colour_onnx(tmp_path / "colours.onnx")))
    assert scan_frames(colour(green=255), "p", 1).verdict == "pass"
    red = scan_frames(np.concatenate([colour(green=255, frames=3), colour(red=255)]), "p", 1)
    assert (red.verdict, red.reason) == ("block", "block for violence by colours at frame 3")
    assert red.verdicts.get(outcome="block").evidence == {"label": "red", "probability": 1.0}
    assert scan_frames(colour(blue=255), "p", 1).reason.startswith("block for intimate by colours")
    Threshold.objects.filter(frame_class="violence").update(block_score=1.0, review_score=1.0)
    mixed = colour(red=140, green=127)
    assert scan_frames(mixed, "p", 1).verdict == "pass"
    Threshold.objects.filter(frame_class="violence").update(review_score=0.5)
    assert scan_frames(mixed, "p", 1).verdict == "review"


def test_a_batch_runs_once_for_all_the_classes_it_is_asked_about(with_gates, tmp_path, monkeypatch):
    (gate,) = with_gates(onnx_entry(write_colour_onnx(tmp_path / "colours.onnx")))
    network, runs = gate._model.network(), []
    run = network.run
    monkeypatch.setattr(network, "run", lambda frames: runs.append(len(frames)) or run(frames))
    scan_frames(colour(green=255, frames=40), "p", 1)
    assert runs == [9]  # every fifth and the last: one batch, two classes


def test_with_a_judge_for_every_class_production_starts(with_gates, settings, tmp_path):
    settings.DEBUG = False
    found = lambda: {message.id for message in run_checks() if message.id.startswith("safety.E")}  # noqa: E731
    assert found() == {"safety.E002"}
    with_gates(SIDE | {"classes": ["child_safety", "likeness", "intimate", "violence"]})
    assert found() == set()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"gate": "oracle"}, "a gate is one of"),
        (
            {"gate": "onnx", "id": "a", "version": "1", "path": "x", "classes": {"gore": ["a"]}},
            "classes are of",
        ),
        (
            {"gate": "onnx", "id": "a", "version": "1", "path": "x", "classes": {"violence": []}},
            "which labels",
        ),
        ({"gate": "onnx", "id": "a", "version": "1", "classes": {"violence": ["a"]}}, "KeyError: 'path'"),
        ({"gate": "onnx", "id": "a" * 41, "version": "1", "path": "x", "classes": {}}, "at most 40"),
        (SIDE | {"url": "ftp://x"}, "http://"),
        (SIDE | {"seconds": 0}, "at most 60"),
        (SIDE | {"retries": 2}, "unknown keys retries"),
    ],
)
def test_a_file_of_gates_that_can_not_work_stops_the_start(with_gates, settings, tmp_path, entry, words):
    with pytest.raises(configured.GatesFileInvalid, match=words):
        with_gates(entry)
    (message,) = [message for message in run_checks() if message.id == "safety.E001"]
    assert words in message.msg


FACE = textured(50, 120, 120)


@pytest.fixture
def faces(with_gates, tmp_path):
    """The embedder of the installation, with its gates."""
    path = write_embedding_onnx(tmp_path / "faces.onnx")
    with_gates({"gate": "likeness", "id": "faces", "version": "2", "path": str(path)})
    (embedder,) = configured.embedders_of(str(tmp_path / "gates.json")).values()
    return embedder


def registered(embedder, kind: str, picture: np.ndarray = FACE) -> Likeness:
    return likeness.register(embedder, picture, name="A. Person", kind=kind, source="test", author="test")


def test_a_registered_likeness_is_found_in_a_part_of_the_frame_by_the_gate_of_its_kind(faces):
    frame = textured(51, 240, 240)
    assert scan_frames(frame[None], "p", 1).verdict == "pass"
    entry = registered(faces, "politician")
    assert scan_frames(frame[None], "p", 1).verdict == "pass"
    frame[60:180, 60:180] = FACE
    scan = scan_frames(frame[None], "p", 1)
    assert (scan.verdict, scan.reason) == ("block", "block for likeness by faces:politician at frame 0")
    evidence = scan.verdicts.get(outcome="block").evidence
    assert (evidence["likeness_kind"], evidence["likeness"]) == ("politician", entry.pk)
    assert evidence["cosine"] > 0.95
    assert "A. Person" not in json.dumps(evidence)


def test_one_person_of_another_kind_does_not_hide_behind_the_likest(faces):
    registered(faces, "public_figure")
    registered(faces, "private_person", np.clip(FACE.astype(int) + 9, 0, 255).astype(np.uint8))
    scan = scan_frames(FACE[None], "p", 1)
    found = scan.verdicts.filter(gate__startswith="faces:", outcome="block")
    assert set(found.values_list("gate", flat=True)) == {"faces:public_figure", "faces:private_person"}


def test_a_likeness_counts_from_the_next_scan_on_and_until_it_is_removed(faces):
    assert scan_frames(FACE[None], "p", 1).verdict == "pass"
    entry = registered(faces, "private_person")
    assert scan_frames(FACE[None], "p", 1).verdict == "block"
    entry.delete()
    assert scan_frames(FACE[None], "p", 1).verdict == "pass"


def test_a_damaged_embedding_makes_the_scan_unavailable(faces):
    entry = registered(faces, "private_person")
    Likeness.objects.filter(pk=entry.pk).update(embedding=b"\0" * 3072)
    scan = scan_frames(textured(52, 64, 64)[None], "p", 1)
    assert scan.verdict == "unavailable"
    assert "an embedding of faces is damaged" in event().detail["reason"]


def test_a_transformers_body_embeds_too(with_gates, tmp_path):
    folder = write_vit_body(tmp_path / "body")
    embedder = likeness.Embedder("body", ModelFiles(folder, "embed"), parts=False)
    views = embedder.embed(np.stack([FACE, FACE[::-1].copy()]))
    assert views.shape == (2, 1, 16)
    assert np.allclose(np.linalg.norm(views, axis=-1), 1, atol=1e-5)


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def swapped(path):
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


@pytest.mark.parametrize("harm", [truncated, swapped, lambda path: path.unlink()])
@pytest.mark.parametrize("kind", ["image_folder", "onnx", "likeness"])
def test_a_corrupted_model_makes_every_scan_unavailable(with_gates, tmp_path, kind, harm):
    made = {
        "image_folder": lambda: write_vit(tmp_path / "model"),
        "onnx": lambda: write_colour_onnx(tmp_path / "model.onnx", ("harmless", "explicit", "gore")),
        "likeness": lambda: write_embedding_onnx(tmp_path / "model.onnx"),
    }
    path = made[kind]()
    weights = path / "model.safetensors" if path.is_dir() else path
    entry = {"gate": kind, "id": "own", "version": "1", "path": str(path), "sha256": sha256(weights)}
    if kind == "likeness":
        # The vector of another machine: registering needs the model itself.
        vector = np.ones(768, "<f4") / np.sqrt(768)
        values = {"name": "n", "kind": "politician", "embedder": "own", "source": "s", "author": "a"}
        Likeness.objects.create(embedding=vector.tobytes(), **values)
    else:
        entry["classes"] = {"violence": ["gore"]}
    with_gates(entry)
    harm(weights)
    scan = scan_frames(shape_world(4), "job-1", 1)
    assert scan.verdict == "unavailable"
    assert "ModelUnusable" in event().detail["reason"]
    assert event().subject == "asset:job-1"


def test_numbers_that_are_none_and_labels_that_are_missing_raise(tmp_path):
    files = ModelFiles(write_colour_onnx(tmp_path / "colours.onnx"), "classify")
    model = LoadedOnce(files)
    model._network = type(
        "Broken", (), {"labels": ("a",), "run": lambda self, frames: np.full((1, 1), np.nan)}
    )()
    with pytest.raises(ModelUnusable, match="no finite numbers"):
        model.run(colour())
    with pytest.raises(ModelUnusable, match="no model to embed with"):
        LoadedOnce(ModelFiles(files.path, "embed")).network()
    with pytest.raises(ModelUnusable, match="no label purple"):
        configured._made(onnx_entry(files.path, classes={"violence": ["purple"]}))[0].prepare("violence")


def side_entry(url: str, **more) -> dict:
    return {"gate": "sidecar", "id": "side", "version": "1", "url": url, "classes": ["child_safety"]} | more


@pytest.fixture(scope="module")
def side_url():
    """The address of a sidecar that runs as long as the tests of this module."""
    with sidecar() as (url, _):
        yield url


@pytest.mark.parametrize("images", ["png", "jpeg", "raw"])
def test_a_sidecar_judges_every_frame(with_gates, side_url, images):
    with_gates(side_entry(side_url, images=images, seconds=60))
    scan = scan_frames(shape_world(5), "p", 1)
    assert scan.verdict == "pass"
    rows = scan.verdicts.filter(gate="side")
    assert list(rows.order_by("frame_index").values_list("frame_index", "score")) == [
        (i, 0.01) for i in range(5)
    ]
    with_gates(side_entry(behaving(side_url, "sure"), seconds=60))
    assert scan_frames(shape_world(5), "p", 1).reason == "block for child_safety by side at frame 0"


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("hangs", "TimeoutError"),
        ("drops", "RemoteDisconnected"),
        ("fails", "HTTPError"),
        ("redirects", "HTTPError"),
        ("short", "one result for each of 5 frames"),
        ("another version", "as version '2', not '1'"),
        ("out of range", "no share of 1"),
        ("not a number", "no JSON"),
        ("text score", "no share of 1"),
        ("one field more", "other fields"),
        ("no json", "no JSON"),
        ("half", "no JSON"),
        ("nested", "no JSON"),
        ("long", "too long"),
    ],
)
def test_a_sidecar_that_is_hung_or_corrupted_makes_the_scan_unavailable(with_gates, side_url, mode, why):
    # Only the one that hangs has little time: on a busy machine the others may take theirs.
    with_gates(side_entry(behaving(side_url, mode), seconds=0.3 if mode == "hangs" else 60))
    unavailable_because_of(why)


def test_a_sidecar_that_is_killed_makes_the_scan_unavailable(with_gates):
    with sidecar() as (url, process):
        with_gates(side_entry(url, seconds=60))
        assert scan_frames(shape_world(5), "job-1", 1).verdict == "pass"
        process.kill()
        process.wait()
        unavailable_because_of("URLError")


def unavailable_because_of(why: str) -> None:
    scan = scan_frames(shape_world(5), "job-1", 2)
    assert scan.verdict == "unavailable"
    assert scan.verdicts.get(outcome="unavailable").gate == "side"
    assert why in event().detail["reason"]


def test_an_answer_is_read_strictly_whatever_it_is():
    side = Sidecar("s", "1", "http://127.0.0.1:1/", frozenset({"violence"}))
    assert side.judges_unseen
    from safety.postfilter.sidecar import read_answer

    for content in (
        b"",
        b"null",
        b"[]",
        b'{"results": []}',
        b"\xff\xfe",
        b'{"protocol":1,"version":"1","results":{}}',
    ):
        with pytest.raises(AnswerInvalid):
            read_answer(content, 1, "1")


def test_a_gate_that_hangs_again_and_again_is_not_asked_any_more(settings):
    # Named first, so that it is the one told of where others have too little time as well.
    settings.SAFETY_GATES = ["tests.safety.broken_gates.Hung", *gates.SHIPPED]
    settings.SAFETY_GATE_SECONDS = 0.05
    for _ in range(deadline.MOST_HUNG):
        assert "no answer within" in scan_frames(shape_world(1), "p", 1).reason
    assert "4 earlier calls still hang" in scan_frames(shape_world(1), "p", 1).reason


def test_a_scan_that_takes_too_long_as_a_whole_is_unavailable(settings):
    settings.SAFETY_SCAN_SECONDS = 0.0
    started = time.monotonic()
    scan = scan_frames(shape_world(4), "p", 1)
    assert (scan.verdict, time.monotonic() - started < 60) == ("unavailable", True)
    assert "the scan took more than 0 s" in event().detail["reason"]

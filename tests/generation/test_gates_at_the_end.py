"""A finished clip whose gate is killed, hangs or is corrupted: nothing is delivered or charged, staff are told.

The clip is encoded, scanned and ended as a worker does it; only its denoising is left out.
"""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.files.storage import default_storage

from accounts.models import OperationalEvent
from bench.gate_models import sha256, write_colour_onnx, write_embedding_onnx, write_vit
from billing.models import Charge, Hold
from billing.reconciliation import reconcile
from generation import early_look, finalization
from generation.finalization import Ran
from generation.models import Asset, Attempt, Job, State
from generation.worker import clip_attempt
from generation.worker.clip_turn import ClipTurn
from safety.models import Scan
from safety.postfilter import configured, deadline, gates, networks
from safety.postfilter.frame_records import Likeness
from tests.generation.api_stage import claimed, media_folder, tenant
from tests.generation.queueing import submit
from tests.safety.clips import shape_world
from tests.safety.sidecars import behaving, sidecar

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.CHECKPOINT_ROOT, settings.WORK_ROOT = tmp_path / "checkpoints", tmp_path / "work"
    configured.gates_of.cache_clear()
    gates._made.cache_clear()
    deadline._left_behind.clear()


@pytest.fixture
def gate_file(settings, tmp_path):
    def write(entry: dict) -> None:
        path = tmp_path / "gates.json"
        path.write_text(json.dumps({"gates": [{"id": "own", "version": "1"} | entry]}))
        settings.SAFETY_GATES_FILE = str(path)
        configured.gates_of.cache_clear()

    return write


def finished(job: Job) -> Job:
    """One worker's turn from the last step on."""
    attempt, lease = claimed()
    finalization.begin_finishing(lease, Ran(gpu_ms=900, steps=job.steps)) if job.state == "queued" else None
    engine = SimpleNamespace(device_name="cpu", dtype="bf16")
    turn = ClipTurn(attempt, attempt.job, lease, engine, station=None)
    work = SimpleNamespace(frames=16, steps=job.steps)
    turn.state = SimpleNamespace(work=work, index=job.steps, peak_memory_bytes=1, threads=1)
    clip_attempt._finish(turn, shape_world())
    job.refresh_from_db()
    return job


def ends_uncharged_with_the_alarm(why: str) -> None:
    """Three attempts, each stopped by the gate; then the job is given up."""
    job = submit(tenant("free"))
    for tries in (1, 2, 3):
        finished(job)
        assert not Asset.objects.filter(job=job).exists()
        assert not default_storage.exists(f"clips/{job.pk}")
        assert job.state == (State.FAILED if tries == 3 else State.FINISHING), job.state_cause
    scans = Scan.objects.filter(subject=str(job.pk))
    assert set(scans.values_list("verdict", flat=True)) == {"unavailable"}
    assert why in scans.first().reason
    alarms = OperationalEvent.objects.filter(kind="safety.scan_unavailable", subject=f"asset:{job.pk}")
    assert (alarms.count(), set(alarms.values_list("severity", flat=True))) == (3, {"error"})
    assert (job.error_code, job.charge_micro) == ("internal_error", 0)
    assert Charge.objects.get(usage_event__subject=str(job.pk)).amount == 0
    assert Hold.objects.get(pk=job.hold_id).captured == 0
    assert reconcile().drift == ()


@pytest.mark.parametrize(
    ("mode", "why"), [("killed", "URLError"), ("hangs", "TimeoutError"), ("half", "no JSON")]
)
def test_a_sidecar(gate_file, mode, why):
    # Only the one that hangs has little time: on a busy machine the others may take theirs.
    seconds = 0.3 if mode == "hangs" else 60
    with sidecar() as (url, process):
        url = behaving(url, mode)
        gate_file({"gate": "sidecar", "url": url, "classes": ["child_safety"], "seconds": seconds})
        if mode == "killed":
            process.kill()
            process.wait()
        ends_uncharged_with_the_alarm(why)


def model_gate(kind: str, folder: Path) -> tuple[dict, Path]:
    """The entry of a gate with a model of its own, and the file of its weights."""
    made = {"image_folder": write_vit, "onnx": write_colour_onnx, "likeness": write_embedding_onnx}
    path = made[kind](folder / ("m" if kind == "image_folder" else "m.onnx"))
    weights = path / "model.safetensors" if path.is_dir() else path
    entry = {"gate": kind, "path": str(path), "sha256": sha256(weights)}
    if kind == "likeness":
        vector = np.full(768, 768**-0.5, "<f4")
        about = {"name": "n", "kind": "politician", "embedder": "own", "source": "s", "author": "a"}
        Likeness.objects.create(embedding=vector.tobytes(), **about)
        return entry, weights
    return entry | {"classes": {"violence": ["gore" if kind == "image_folder" else "red"]}}, weights


@pytest.mark.parametrize("kind", ["image_folder", "onnx", "likeness"])
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("killed", "ended without an answer"),
        ("hung", "no answer within"),
        ("corrupted", "ModelUnusable"),
        ("nonsense", "no finite numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_model(gate_file, settings, monkeypatch, tmp_path, kind, how, why):
    """Killed, hung and answering nonsense in the very call of the model; corrupted in its file."""
    entry, weights = model_gate(kind, tmp_path)
    if how == "corrupted":
        weights.write_bytes(weights.read_bytes()[:-100])
    gate_file(entry)
    settings.SAFETY_GATE_SECONDS = 0.3 if how == "hung" else 20
    broken = {
        "killed": lambda self, frames: sys.exit(9),
        "hung": lambda self, frames: time.sleep(5),
        "nonsense": lambda self, frames: np.full((len(frames), 3), np.nan, np.float32),
    }
    network = networks._FolderNetwork if kind == "image_folder" else networks._OnnxNetwork
    if how in broken:
        monkeypatch.setattr(network, "run", broken[how])
    ends_uncharged_with_the_alarm(why)


@pytest.mark.parametrize(
    ("gate", "why"),
    [("Dying", "ended without an answer"), ("Hung", "no answer within"), ("Nonsense", "TypeError")],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Dying does
def test_a_plug_in_in_this_process(settings, gate, why):
    settings.SAFETY_GATES = [*gates.SHIPPED, f"tests.safety.broken_gates.{gate}"]
    settings.SAFETY_GATE_SECONDS = 0.2 if gate == "Hung" else 20
    ends_uncharged_with_the_alarm(why)


@pytest.mark.parametrize("shipped", ["hash_list.HashList", "canary_marks.CanaryMarks"])
@pytest.mark.parametrize("how", ["killed", "hung", "corrupted"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_gates_that_ship(settings, monkeypatch, shipped, how):
    from importlib import import_module

    settings.SAFETY_GATE_SECONDS = 0.3 if how == "hung" else 20
    broken = {
        "killed": lambda frames: exec("raise SystemExit(9)"),
        "hung": lambda frames: time.sleep(5),
        "corrupted": lambda frames: [float("nan")] * len(frames),
    }[how]
    module, _, name = shipped.partition(".")
    gate = getattr(import_module(f"safety.postfilter.{module}"), name)
    monkeypatch.setattr(gate, "prepare", lambda self, frame_class: broken)
    ends_uncharged_with_the_alarm("unavailable for child_safety by ")


def test_what_an_early_block_saved_is_counted():
    from datetime import timedelta

    from django.utils import timezone

    assert early_look.saved_gpu_ms(20, 0.5, 10) == 1000
    assert early_look.saved_gpu_ms(20, 0.5, 0) == 0
    job = submit(tenant("free"))
    attempt, lease = claimed()
    finalization.block(
        lease, Ran(gpu_ms=500, steps=10, saved_gpu_ms=1000), "early look at step 10", "violence"
    )
    job.refresh_from_db()
    assert (job.state, job.charge_micro, Attempt.objects.get().saved_gpu_ms) == ("blocked", 0, 1000)
    now = timezone.now()
    assert early_look.saved(now - timedelta(hours=1), now) == early_look.Saved(1, 1000)
    assert early_look.saved(now - timedelta(hours=2), now - timedelta(hours=1)) == early_look.Saved(0, 0)
    event = OperationalEvent.objects.get(kind="postfilter.block")
    assert event.detail["saved_gpu_ms"] == 1000

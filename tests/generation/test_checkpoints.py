"""Checkpoints land whole or not at all, and what is read back is what was written."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from generation.worker import checkpoints
from generation.worker.checkpoints import CheckpointFailed, CheckpointWriter

JOB = "0b7c1d0e-0000-4000-8000-000000000001"
WHO = ("spec-a", "r1", "Euler", "bf16")
MANIFEST = {
    "spec_hash": "spec-a",
    "model_revision": "r1",
    "scheduler": "Euler",
    "dtype": "bf16",
    "threads": 1,
}


def tensors(step: int) -> dict:
    return {"latents": torch.full((1, 2, 3), float(step)), "generator": torch.arange(16, dtype=torch.uint8)}


def save(root: Path, step: int, fence: int = 1, **changes) -> checkpoints.SavedCheckpoint:
    return checkpoints.save(root, JOB, fence, step, tensors(step), {**MANIFEST, **changes})


def landed(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root / JOB)) for path in (root / JOB).rglob("*") if path.is_file())


def flip_byte(path: Path, place: int = -5) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@contextlib.contextmanager
def largest_file(limit: int):
    """A file-size limit stands in for a full disk: both are an OSError in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_read_is_what_was_written(tmp_path):
    saved = save(tmp_path, 10, fence=3, index=10, scheduler_state={"this_order": 2})
    assert saved.path == tmp_path / JOB / "3" / "step-0010.safetensors"
    assert saved.bytes == saved.path.stat().st_size
    assert landed(tmp_path) == ["3/step-0010.json", "3/step-0010.safetensors"]
    checkpoint, refusals = checkpoints.latest(tmp_path, JOB, *WHO)
    assert refusals == []
    assert (checkpoint.step, checkpoint.fence, checkpoint.path) == (10, 3, saved.path)
    assert checkpoint.values["scheduler_state"] == {"this_order": 2}
    assert (checkpoint.values["step"], checkpoint.values["threads"], checkpoint.values["bytes"]) == (
        10,
        1,
        saved.bytes,
    )
    assert checkpoint.tensors.keys() == {"latents", "generator"}
    for name, tensor in tensors(10).items():
        assert torch.equal(checkpoint.tensors[name], tensor)
        assert checkpoint.tensors[name].dtype == tensor.dtype


def test_a_job_without_checkpoints_has_none(tmp_path):
    assert checkpoints.latest(tmp_path, JOB, *WHO) == (None, [])


def test_the_newest_step_wins_and_then_the_higher_fence(tmp_path):
    save(tmp_path, 20, fence=1)
    save(tmp_path, 10, fence=2)
    assert checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.step == 20
    save(tmp_path, 20, fence=2)
    found = checkpoints.latest(tmp_path, JOB, *WHO).checkpoint
    assert (found.step, found.fence) == (20, 2)
    save(tmp_path, 100, fence=10)
    assert checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.step == 100


@pytest.mark.parametrize("place", range(4))
def test_one_of_another_kind_is_refused_with_the_reason(tmp_path, place):
    save(tmp_path, 10)
    asked = list(WHO)
    asked[place] = "other"
    found = checkpoints.latest(tmp_path, JOB, *asked)
    assert found.checkpoint is None
    assert [refusal.reason for refusal in found.refusals] == [
        f"another {checkpoints.IDENTITY[place]}: {WHO[place]!r}, not 'other'"
    ]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: flip_byte(path), "sha256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "sha256"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.with_suffix(".json").write_text("{"), "cannot be read"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "manifest"),
        (lambda path: path.with_suffix(".json").write_text(json.dumps({**MANIFEST, "step": 10})), "manifest"),
    ],
)
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, damage, reason):
    save(tmp_path, 10)
    newest = save(tmp_path, 20)
    damage(newest.path)
    checkpoint, refusals = checkpoints.latest(tmp_path, JOB, *WHO)
    assert checkpoint.step == 10
    assert [(refusal.path, reason in refusal.reason) for refusal in refusals] == [(newest.path, True)]


def test_only_the_newest_and_the_one_before_are_kept(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step)
    names = ["1/step-0020.json", "1/step-0020.safetensors", "1/step-0030.json", "1/step-0030.safetensors"]
    assert landed(tmp_path) == names


def test_a_later_attempt_keeps_its_predecessors_last_one_as_fallback(tmp_path):
    save(tmp_path, 10, fence=1)
    save(tmp_path, 20, fence=1)
    save(tmp_path, 30, fence=2)
    assert [name for name in landed(tmp_path) if name.endswith("json")] == [
        "1/step-0020.json",
        "2/step-0030.json",
    ]


def test_an_attempt_that_lost_its_lease_deletes_nothing_of_its_successor(tmp_path):
    save(tmp_path, 10, fence=2)
    for step in (10, 20, 30):
        save(tmp_path, step, fence=1)
    assert "2/step-0010.json" in landed(tmp_path)
    assert "2/step-0010.safetensors" in landed(tmp_path)


def test_a_restart_from_nothing_keeps_its_own(tmp_path):
    """After the model changed, the old revision's later checkpoints must not push out the new one's."""
    for step in (10, 20, 30):
        save(tmp_path, step, fence=1, model_revision="r0")
    save(tmp_path, 10, fence=2)
    save(tmp_path, 20, fence=2)
    checkpoint, refusals = checkpoints.latest(tmp_path, JOB, *WHO)
    assert (checkpoint.step, checkpoint.fence) == (20, 2)
    assert len(refusals) == 1
    flip_byte(checkpoint.path)
    assert checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.step == 10


def test_leftovers_of_a_killed_writer_are_not_checkpoints(tmp_path):
    folder = tmp_path / JOB / "1"
    folder.mkdir(parents=True)
    (folder / ".step-0010.safetensors.1-1").write_bytes(b"half")
    (folder / "step-0010.safetensors").write_bytes(b"no manifest yet")
    assert checkpoints.latest(tmp_path, JOB, *WHO) == (None, [])


def test_a_full_disk_is_reported_and_the_one_before_stays(tmp_path):
    save(tmp_path, 10)
    before = landed(tmp_path)
    with largest_file(64), pytest.raises(CheckpointFailed, match="step 20 could not be written"):
        save(tmp_path, 20)
    assert landed(tmp_path) == before
    assert checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.step == 10


def test_two_that_remove_at_once_do_not_trip_over_each_other(tmp_path):
    for _ in range(20):
        for step in (10, 20):
            save(tmp_path, step)
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(checkpoints.remove, tmp_path, JOB) for _ in range(4)]:
                done.result()
        assert not (tmp_path / JOB).exists()


def test_remove_deletes_one_job_and_nothing_else(tmp_path):
    save(tmp_path, 10)
    checkpoints.save(tmp_path, "other", 1, 10, tensors(10), MANIFEST)
    checkpoints.remove(tmp_path, JOB)
    checkpoints.remove(tmp_path, JOB)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    for name in ("", ".", "..", "../other", "a/b"):
        with pytest.raises(ValueError, match="job's name"):
            checkpoints.remove(tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_manifest_must_say_what_the_checkpoint_belongs_to(tmp_path):
    with pytest.raises(ValueError, match="spec_hash"):
        checkpoints.save(tmp_path, JOB, 1, 10, tensors(10), {"threads": 1})
    assert list(tmp_path.iterdir()) == []


def test_the_writer_keeps_what_was_handed_over(tmp_path):
    writer = CheckpointWriter(tmp_path, JOB, 1)
    latents = torch.zeros(4)
    writer.save(10, {"latents": latents}, MANIFEST)
    latents += 1
    assert [saved.step for saved in writer.flush()] == [10]
    assert torch.equal(checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.tensors["latents"], torch.zeros(4))
    writer.save(20, {"latents": latents}, MANIFEST)
    writer.close()
    assert [saved.step for saved in writer.saved] == [10, 20]
    assert checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.step == 20


def test_the_writer_reports_a_failure_once_and_goes_on(tmp_path):
    writer = CheckpointWriter(tmp_path, JOB, 1)
    writer.save(10, tensors(10), MANIFEST)
    writer.flush()
    with largest_file(64):
        writer.save(20, tensors(20), MANIFEST)
        with pytest.raises(CheckpointFailed, match="step 20"):
            writer.flush()
        writer.save(30, tensors(30), MANIFEST)
        writer._waiting.join()
    with pytest.raises(CheckpointFailed, match="step 30"):
        writer.save(40, tensors(40), MANIFEST)
    assert [saved.step for saved in writer.flush()] == [10, 40]
    writer.close()
    assert checkpoints.latest(tmp_path, JOB, *WHO).checkpoint.step == 40


def test_the_writer_reports_what_is_no_checkpoint(tmp_path):
    writer = CheckpointWriter(tmp_path, JOB, 1)
    writer.save(10, tensors(10), {"threads": 1})
    with pytest.raises(CheckpointFailed, match="spec_hash"):
        writer.close()


KILLED = """
import sys, torch
from pathlib import Path
from generation.worker.checkpoints import CheckpointWriter
writer = CheckpointWriter(Path(sys.argv[1]), sys.argv[2], 1)
manifest = {"spec_hash": "spec-a", "model_revision": "r1", "scheduler": "Euler", "dtype": "bf16", "threads": 1}
step = 0
while True:
    step += 1
    writer.save(step, {"latents": torch.full((100_000,), float(step))}, manifest)
"""


def test_a_writer_killed_at_any_moment_leaves_a_sound_checkpoint(tmp_path):
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), JOB], cwd=root)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(tmp_path.glob(f"{JOB}/1/step-*[5-9].json")):
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    checkpoint, refusals = checkpoints.latest(tmp_path, JOB, *WHO)
    assert refusals == []
    assert checkpoint.step >= 5
    assert torch.equal(checkpoint.tensors["latents"], torch.full((100_000,), float(checkpoint.step)))

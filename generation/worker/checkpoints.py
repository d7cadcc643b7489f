"""Checkpoints on shared storage: a job that loses its worker goes on from the last one.

Layout: `<root>/<job>/<fence>/step-0010.safetensors` holds the tensors, `step-0010.json` beside it the manifest. The
manifest is written last, so a checkpoint without one does not exist. Every file is written under another name,
synced, and renamed; then the folder is synced.
"""

import hashlib
import json
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensor_bytes

IDENTITY = ("spec_hash", "model_revision", "scheduler", "dtype")
REQUIRED = (*IDENTITY, "threads")
MANIFEST_NAME = re.compile(r"step-(\d{4,})\.json")


class CheckpointFailed(Exception):
    """A checkpoint could not be written: the disk is full, a size limit is reached, the storage is gone."""


@dataclass(frozen=True)
class SavedCheckpoint:
    """One that has landed. `bytes` are of the tensors' file, `seconds` the time that writing and syncing took."""

    step: int
    path: Path
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """One read back and verified. `values` is its manifest."""

    step: int
    fence: int
    path: Path
    tensors: dict[str, torch.Tensor]
    values: dict


class Refusal(NamedTuple):
    """A checkpoint that was passed over, and why, in words for the job's record."""

    path: Path
    reason: str


class Lookup(NamedTuple):
    """The checkpoint to go on from, if any, and the newer ones that were refused."""

    checkpoint: Checkpoint | None
    refusals: list[Refusal]


def save(
    root: Path, job: str, fence: int, step: int, tensors: Mapping[str, torch.Tensor], manifest: Mapping
) -> SavedCheckpoint:
    """Write one checkpoint durably, then drop those it makes superfluous.

    `tensors` are on the host; `manifest` holds at least spec_hash, model_revision, scheduler, dtype and threads. Kept
    are this one and the newest of an earlier step, as a fallback. Raises CheckpointFailed and leaves the earlier ones
    as they were.
    """
    missing = [name for name in REQUIRED if name not in manifest]
    if missing:
        raise ValueError(f"The manifest lacks {', '.join(missing)}.")
    started = time.perf_counter()
    folder = _job_folder(root, job) / str(int(fence))
    path = folder / f"step-{step:04d}.safetensors"
    payload = tensor_bytes(dict(tensors))
    written = {**manifest, "step": step, "sha256": hashlib.sha256(payload).hexdigest(), "bytes": len(payload)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, payload)
        _write(path.with_suffix(".json"), json.dumps(written, indent=1, sort_keys=True).encode())
        _sync_folder(folder)
    except OSError as error:
        raise CheckpointFailed(f"step {step} could not be written to {path}: {error}") from error
    _drop_superfluous(_job_folder(root, job), int(fence), step)
    return SavedCheckpoint(step, path, len(payload), time.perf_counter() - started)


def latest(root: Path, job: str, spec_hash: str, model_revision: str, scheduler: str, dtype: str) -> Lookup:
    """The newest sound checkpoint of the job over all its fences; on equal steps the higher fence's."""
    expected = dict(zip(IDENTITY, (spec_hash, model_revision, scheduler, dtype), strict=True))
    refusals = []
    for step, fence, path in sorted(_landed(_job_folder(root, job)), reverse=True):
        found = _read(step, fence, path, expected)
        if isinstance(found, Checkpoint):
            return Lookup(found, refusals)
        refusals.append(found)
    return Lookup(None, refusals)


def remove(root: Path, job: str) -> None:
    """Delete all of a job's checkpoints, once it is delivered or over.

    Its last worker and one that lost it before may both do so at once: what the other has deleted already is fine.
    """
    shutil.rmtree(_job_folder(root, job), onerror=_unless_gone)


def _unless_gone(function: Callable, path: str, failure: tuple) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


class CheckpointWriter:
    """Writes one attempt's checkpoints on a thread of its own, so that denoising does not wait for the disk.

    At most two wait; a third makes `save` wait, because a checkpoint that is silently skipped breaks the promise of
    how much is redone. A failure is raised by the next `save` or `flush`, and the writer goes on: a loop may catch it,
    record it and continue.
    """

    def __init__(self, root: Path, job: str, fence: int) -> None:
        self._root, self._job, self._fence = root, job, fence
        self._waiting: queue.Queue[tuple[int, dict, dict] | None] = queue.Queue(maxsize=2)
        self._lock = threading.Lock()
        self._failures: list[str] = []
        self._saved: list[SavedCheckpoint] = []
        # A daemon, so that a storage that hangs cannot keep a stopping worker alive.
        self._thread = threading.Thread(target=self._run, name=f"checkpoints-{job}", daemon=True)
        self._thread.start()

    @property
    def saved(self) -> list[SavedCheckpoint]:
        """Those that have landed so far, in order."""
        with self._lock:
            return list(self._saved)

    def save(self, step: int, tensors: Mapping[str, torch.Tensor], manifest: Mapping) -> None:
        """Hand over one checkpoint; the tensors are copied to the host first.

        Raises CheckpointFailed for an earlier one, after this one is on its way.
        """
        copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        self._waiting.put((step, copies, dict(manifest)))
        self._raise_failures()

    def flush(self) -> list[SavedCheckpoint]:
        """Wait until everything handed over has landed. Raises CheckpointFailed for what has not."""
        self._waiting.join()
        self._raise_failures()
        return self.saved

    def close(self) -> None:
        """Land what is waiting and end the thread; raises as `flush` does. The writer is not used after."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()
        self._raise_failures()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            step, tensors, manifest = item
            try:
                saved = save(self._root, self._job, self._fence, step, tensors, manifest)
            except (CheckpointFailed, SafetensorError, ValueError, TypeError) as error:
                with self._lock:
                    self._failures.append(str(error))
            else:
                with self._lock:
                    self._saved.append(saved)
            finally:
                self._waiting.task_done()
        self._waiting.task_done()

    def _raise_failures(self) -> None:
        with self._lock:
            failures, self._failures = self._failures, []
        if failures:
            raise CheckpointFailed("; ".join(failures))


def _job_folder(root: Path, job: str) -> Path:
    name = str(job)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(f"{name!r} is not a job's name")
    return Path(root) / name


def _write(path: Path, payload: bytes) -> None:
    # Named after the process too: an attempt that lost its lease may still be writing the same step.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the renames durable, and the new folders that they may lie in."""
    for place in (folder, folder.parent, folder.parent.parent):
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _landed(job_folder: Path) -> list[tuple[int, int, Path]]:
    """(step, fence, tensors' path) of every manifest of the job."""
    found = []
    for manifest in job_folder.glob("*/step-*.json"):
        name = MANIFEST_NAME.fullmatch(manifest.name)
        if name and manifest.parent.name.isdecimal():
            found.append((int(name[1]), int(manifest.parent.name), manifest.with_suffix(".safetensors")))
    return found


def _read(step: int, fence: int, path: Path, expected: dict[str, str]) -> Checkpoint | Refusal:
    try:
        values = json.loads(path.with_suffix(".json").read_bytes())
        payload = path.read_bytes()
    except (OSError, ValueError) as error:
        return Refusal(path, f"cannot be read: {error}")
    if not isinstance(values, dict) or values.get("step") != step:
        return Refusal(path, f"its manifest is not one of step {step}")
    for name, value in expected.items():
        if values.get(name) != value:
            return Refusal(path, f"another {name}: {values.get(name)!r}, not {value!r}")
    if len(payload) != values.get("bytes") or hashlib.sha256(payload).hexdigest() != values.get("sha256"):
        return Refusal(path, "corrupt: its bytes do not match the manifest's sha256")
    try:
        return Checkpoint(step, fence, path, load_tensors(payload), values)
    except (SafetensorError, ValueError) as error:
        return Refusal(path, f"not a tensor file: {error}")


def _drop_superfluous(job_folder: Path, fence: int, step: int) -> None:
    """Delete what the checkpoint just landed replaces, save the newest of an earlier step.

    Only its own and lower fences' files: an attempt that lost its lease must not delete its successor's.
    """
    ours = [found for found in sorted(_landed(job_folder)) if found[1] <= fence and found[0] <= step]
    earlier = [found for found in ours if found[0] < step]
    kept = {(step, fence), earlier[-1][:2] if earlier else None}
    for old_step, old_fence, path in ours:
        if (old_step, old_fence) not in kept:
            # The manifest first: a checkpoint whose tensors are missing must not look like one.
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

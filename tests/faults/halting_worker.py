"""A clip worker that kills or stops itself at one exact moment of its first clip, as an outage might.

HALT_AT names the moment (MOMENTS), HALT_STEP the step where it needs one, HALT_WITH the signal, KILL or STOP, and
HALT_PROMPT a word that the clip's prompt must have. It happens once: a worker that was only stopped goes on afterwards.
FULL_FROM_STEP=20 is a disk that is full from that step's checkpoint on. Nothing in the product knows of this: functions
are wrapped here before the worker starts.
"""

import functools
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import django

from console.celery import app

django.setup()

from generation import finalization  # noqa: E402
from generation.engines import video  # noqa: E402
from generation.revisions import loading  # noqa: E402
from generation.worker import checkpoints, clip_attempt, engine_shelf, stages  # noqa: E402

# Those of a stage come when its work is done and nothing of it has been noted.
STAGES = ("encode_prompt", "preview_scan", "decode", "encode", "scan", "sign", "store")
MOMENTS = ("claimed", "load", "step", "writing", "written", *STAGES, "uncommitted", "delivered")

AT, STEP = os.environ.get("HALT_AT", ""), int(os.environ.get("HALT_STEP", "0"))
SIGNAL = getattr(signal, f"SIG{os.environ.get('HALT_WITH', 'KILL')}")
PROMPT = os.environ.get("HALT_PROMPT", "")
FULL_FROM = int(os.environ.get("FULL_FROM_STEP", "0"))

_halted = threading.Event()


def halt(moment: str) -> None:
    if moment == AT and not _halted.is_set():
        _halted.set()
        os.kill(os.getpid(), SIGNAL)


def after(moment: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        halt(moment)
        return result

    return wrapped


def claimed(run: Callable) -> Callable:
    def wrapped(attempt: Any, station: Any) -> None:
        if PROMPT in attempt.job.prompt:
            halt("claimed")
        run(attempt, station)

    return wrapped


def loaded(load: Callable) -> Callable:
    """Only on the thread of a load that an attempt waits for: the deploy gate at the start loads too."""

    def wrapped(*arguments: Any) -> Any:
        engine = load(*arguments)
        if threading.current_thread().name == "load":
            halt("load")
        return engine

    return wrapped


def stepping(step: Callable) -> Callable:
    """When the step is computed and not yet reported."""

    def wrapped(self: video.VideoEngine, state: video.DenoiseState) -> None:
        step(self, state)
        if state.work.steps >= STEP == state.index:  # a warm-up has fewer
            halt("step")

    return wrapped


def writing(write: Callable) -> Callable:
    """In the midst of the tensors' file, or between it and its manifest."""

    def wrapped(path: Any, payload: bytes) -> None:
        if AT == "writing" and path.name == f"step-{STEP:04d}.safetensors":
            path.with_name(f".{path.name}.half").write_bytes(payload[: len(payload) // 2])
            halt("writing")
        if AT == "written" and path.name == f"step-{STEP:04d}.json":
            halt("written")
        write(path, payload)

    return wrapped


def limited(save: Callable) -> Callable:
    """RLIMIT_FSIZE: half a checkpoint fits."""

    def wrapped(root: Any, job: str, fence: int, step: int, tensors: Any, manifest: Any) -> Any:
        if not FULL_FROM or step < FULL_FROM:
            return save(root, job, fence, step, tensors, manifest)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
        try:
            return save(root, job, fence, step, tensors, manifest)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return wrapped


@contextmanager
def stage(watch: stages.Stopwatch, name: str):
    with _stage(watch, name):
        yield
        if name in STAGES:
            halt(name)


if __name__ == "__main__":
    assert AT in MOMENTS or FULL_FROM, AT
    signal.signal(
        signal.SIGXFSZ, signal.SIG_IGN
    )  # as a full disk: an error of the write, not the process's end
    _stage = stages.Stopwatch.stage
    stages.Stopwatch.stage = stage
    clip_attempt.run = claimed(clip_attempt.run)
    loading.load = loaded(loading.load)
    video.VideoEngine.step = stepping(video.VideoEngine.step)
    checkpoints._write = writing(checkpoints._write)
    checkpoints.save = limited(checkpoints.save)
    finalization._finish = after("uncommitted", finalization._finish)
    finalization.deliver_clip = after("delivered", finalization.deliver_clip)
    if AT == "load":
        engine_shelf.EngineShelf.load_all = lambda shelf, pool: None
    app.worker_main(sys.argv[1:])

"""One worker's turn at a clip: denoise with checkpoints and gated previews, decode; the rest is finishing.py.

Every write carries the attempt's fencing number, and so does every path. Whatever stops it in between leaves a
checkpoint from which another worker makes the very same clip.
"""

import logging
import time
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from accounts import operations
from generation import early_look, finalization, streams
from generation.engines.errors import CheckpointMismatch, EngineError
from generation.engines.video import ClipWork, DenoiseState
from generation.finalization import Ran
from generation.inputs import input_images
from generation.models import Attempt, Job, State
from generation.scheduling.leases import LeaseLost, Wishes, lease_of
from generation.worker import checkpoints, endings, finishing, previews, traces
from generation.worker.clip_turn import ClipTurn
from generation.worker.stages import Cancelled, HandedBack, NotFinite, Preempted, RefusedByGate, Stopwatch
from generation.worker.station import Station
from safety.models import Scan
from safety.postfilter.scan import scan_frames

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY = 10
# Decoding is reported from this many times its budget on; the constant is for models so small that any pause is more.
FAR_OVER_BUDGET, JITTER_S = 3.0, 1.0


def run(attempt: Attempt, station: Station) -> None:
    """Take the job through the device, then let it be finished beside the next one; every end is written down."""
    turn = _turn(attempt, station)
    if turn is None:
        return
    with endings.told(turn):
        _denoise(turn)
        frames = _decoded(turn)
        station.finishing.take(turn, lambda: _finish(turn, frames))
        return
    traces.tell_clip(turn)


def _turn(attempt: Attempt, station: Station) -> ClipTurn | None:
    """The model may have to be loaded first; None where it can't be, or where the job went elsewhere meanwhile."""
    lease, watch = lease_of(attempt), Stopwatch()
    model, precision = attempt.job.model, attempt.job.spec.get("precision")
    try:
        with watch.stage("load") if not station.engines.has(model, precision) else nullcontext():
            engine = station.engines.get(model, precision, waiting=lambda: lease.renew(stage="loading"))
        return ClipTurn(attempt, attempt.job, lease, engine, station, watch)
    except LeaseLost as lost:
        logger.warning(str(lost), extra={"job": str(attempt.job_id), "fence": attempt.fence})
    except EngineError as problem:
        finalization.attempt_failed(lease, Ran(), str(problem))
        streams.announce(attempt.job_id, "state", {})
    return None


def _finish(turn: ClipTurn, frames: np.ndarray) -> None:
    with endings.told(turn):
        finishing.finish(turn, frames)
    traces.tell_clip(turn)


def _denoise(turn: ClipTurn) -> None:
    """Run exactly the steps that are left, from the newest sound checkpoint or from noise."""
    with turn.watch.stage("encode_prompt"):
        turn.state = _begin(turn)
        turn.began_at = turn.state.index
    turn.writer = checkpoints.CheckpointWriter(settings.CHECKPOINT_ROOT, str(turn.job.pk), turn.lease.fence)
    try:
        _steps(turn)
    finally:
        # Where the attempt stops early, what is on its way still lands; its failure is not what ended the attempt.
        with suppress(checkpoints.CheckpointFailed):
            turn.writer.close()
    finalization.begin_finishing(turn.lease, turn.ran)
    streams.announce(turn.job.pk, "state", {"state": State.FINISHING})


def _decoded(turn: ClipTurn) -> np.ndarray:
    """The frames, uint8 RGB [frames, height, width, 3]: the last thing that needs the device.

    Decoding is always in the way of the clip's delivery, so it has a budget; far beyond it, somebody is told. It is one
    piece that reports nothing meanwhile, so the lease is as long as it may take.
    """
    budget_s = turn.engine.decode_estimate_s(turn.state.work)
    far_over_s = FAR_OVER_BUDGET * (budget_s or 0) + JITTER_S
    turn.lease.renew(stage="decoding", seconds=far_over_s)
    began = time.perf_counter()
    with turn.watch.stage("decode"):
        frames = turn.engine.decode(turn.state)
    took_s = time.perf_counter() - began
    if budget_s is not None and took_s > far_over_s:
        detail = {
            "took_s": round(took_s, 3),
            "budget_s": round(budget_s, 3),
            "device": turn.engine.device_name,
        }
        operations.report("decode.over_budget", "warning", f"job:{turn.job.pk}", detail)
    return frames


def _steps(turn: ClipTurn) -> None:
    state = turn.state
    while not state.done:
        with turn.watch.stage("denoise"):
            turn.engine.step(state)
            finite = turn.engine.finite(state)
        if state.index % CHECKPOINT_EVERY == 1:
            # It had this whole step to land beside. A step that is reported is never more than one interval from the
            # checkpoint that a successor resumes from.
            _land(turn)
        wishes = turn.lease.renew(step=state.index, stage="denoising")
        streams.announce(turn.job.pk, "step", {"step": state.index, "steps": state.work.steps})
        if not finite:
            raise NotFinite(f"The latent was no longer finite at step {state.index}")
        if wishes.cancel:
            raise Cancelled
        if state.index % CHECKPOINT_EVERY == 0 or state.done:
            _checkpoint(turn)
            _preview(turn)
        _heed(turn, wishes)
    _land(turn)


def _begin(turn: ClipTurn) -> DenoiseState:
    """Resume where the last attempt left a sound checkpoint; otherwise start, and say what was refused."""
    job, engine = turn.job, turn.engine
    work = clip_work(job)
    found = checkpoints.latest(
        settings.CHECKPOINT_ROOT, str(job.pk), job.spec_hash, engine.revision, engine.scheduler, engine.dtype
    )
    refused = [f"{refusal.path.name}: {refusal.reason}"[:200] for refusal in found.refusals]
    state = None
    if found.checkpoint:
        try:
            state = engine.resume(work, found.checkpoint)
        except CheckpointMismatch as mismatch:
            refused.append(f"{found.checkpoint.path.name}: {mismatch}"[:200])
    state = state or engine.start(work)
    for reason in refused:
        operations.report("checkpoint.refused", "warning", f"job:{job.pk}", {"reason": reason})
    Attempt.objects.filter(pk=turn.attempt.pk, ended_at=None).update(
        step=state.index,
        resumed_from_step=state.index,
        refused_checkpoints=refused,
        device=engine.device_name,
        precision=engine.dtype,
        threads=state.threads,
    )
    return state


def clip_work(job: Job) -> ClipWork:
    """The engine's view of a job's stored spec."""
    spec: dict[str, Any] = job.spec
    return ClipWork(
        prompt=job.prompt,
        negative_prompt="",
        width=spec["width"],
        height=spec["height"],
        frames=spec["fps"] * spec["seconds"],
        steps=job.steps,
        guidance=spec["guidance"],
        seed=job.seed,
        image=_picture(job),
    )


def _picture(job: Job) -> np.ndarray | None:
    try:
        return input_images.pixels(job)
    except OSError as problem:
        raise EngineError(f"the picture that the clip begins from can't be read: {problem}") from problem


def _checkpoint(turn: ClipTurn) -> None:
    """Hand one over to the writer. A full disk costs safety, not the clip: it is reported, and the loop goes on."""
    with turn.watch.stage("checkpoint"):
        snapshot = turn.engine.snapshot(turn.state)
        manifest = {"spec_hash": turn.job.spec_hash, **snapshot.values}
        try:
            turn.writer.save(turn.state.index, snapshot.tensors, manifest)
        except checkpoints.CheckpointFailed as problem:
            _report_no_checkpoint(turn, problem)
            return
    turn.checkpoints += 1
    turn.lease.renew(checkpoints=turn.checkpoints)


def _land(turn: ClipTurn) -> None:
    """Wait for the last checkpoint, so that a worker lost while finishing costs no step."""
    with turn.watch.stage("checkpoint"):
        try:
            turn.writer.flush()
        except checkpoints.CheckpointFailed as problem:
            _report_no_checkpoint(turn, problem)


def _report_no_checkpoint(turn: ClipTurn, problem: checkpoints.CheckpointFailed) -> None:
    detail = {"step": turn.state.index, "error": str(problem)[:500]}
    operations.report("checkpoint.failed", "error", f"job:{turn.job.pk}", detail)


def _preview(turn: ClipTurn) -> None:
    """The early look: shown only where the frame gates pass it; a block ends the job here, with its steps unspent."""
    with turn.watch.stage("preview"):
        frames = turn.engine.preview(turn.state)
    with turn.watch.stage("preview_scan"):
        scan = scan_frames(
            frames, str(turn.job.pk), turn.lease.fence, "preview", progress=lambda: turn.lease.renew()
        )
    if scan.verdict == Scan.Result.BLOCK:
        turn.saved_gpu_ms = early_look.saved_gpu_ms(
            turn.state.work.steps - turn.state.index,
            turn.watch.seconds["denoise"],
            turn.state.index - turn.began_at,
        )
        raise RefusedByGate(
            finishing.blocked_class(scan), f"early look at step {turn.state.index}: {scan.reason}"
        )
    if scan.verdict != Scan.Result.PASS:
        return  # not shown; the final scan decides
    name = f"previews/{turn.job.pk}/{turn.lease.fence}/step-{turn.state.index:04d}.webp"
    picture = previews.webp(frames)
    path = default_storage.save(name, ContentFile(picture))
    turn.file_bytes += len(picture)
    turn.lease.renew(preview=path)
    streams.announce(turn.job.pk, "preview", {"step": turn.state.index})


def _heed(turn: ClipTurn, wishes: Wishes) -> None:
    """SIGTERM, a preemption, drain, restart, quarantine: leave a checkpoint of this very step and hand the job back."""
    stopping = turn.station.stopping.is_set()
    if turn.state.done or (wishes.desired == "run" and not wishes.preempt and not stopping):
        return
    began = time.perf_counter()
    if turn.state.index % CHECKPOINT_EVERY:
        _checkpoint(turn)
    _land(turn)
    if wishes.preempt:
        raise Preempted(wishes.preempt, round(1000 * (time.perf_counter() - began)))
    raise HandedBack("the worker is stopping" if stopping else f"the worker is to {wishes.desired}")

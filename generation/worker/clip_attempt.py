"""One worker's turn at a clip: denoise with checkpoints and gated previews, decode, encode, scan, sign, deliver.

Every write carries the attempt's fencing number, and so does every path. Whatever stops it in between leaves a
checkpoint from which another worker makes the very same clip.
"""

import hashlib
import logging
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from accounts import operations
from generation import finalization, streams
from generation.engines.errors import EngineError, ModelUnavailable
from generation.engines.video import ClipWork, DenoiseState
from generation.finalization import Ran
from generation.leases import LeaseLost, Wishes, lease_of
from generation.models import Attempt, Job, State
from generation.worker import checkpoints, finishing, previews
from generation.worker.clip_turn import ClipTurn
from generation.worker.encoding import EncodingFailed
from generation.worker.stages import Cancelled, HandedBack, NotFinite, RefusedByGate, Unscanned
from generation.worker.station import Station
from safety.models import Scan
from safety.postfilter.scan import scan_frames

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY = 10


def run(attempt: Attempt, station: Station) -> None:
    """Take the job as far as it goes, and write how it ended; a lost lease ends it without a word."""
    lease = lease_of(attempt)
    try:
        _run_to_an_end(ClipTurn(attempt, attempt.job, lease, station.engine(attempt.job.model), station))
    except LeaseLost as lost:
        logger.warning(str(lost), extra={"job": str(attempt.job_id), "fence": attempt.fence})
    except ModelUnavailable as problem:
        finalization.attempt_failed(lease, Ran(), str(problem))
    streams.announce(attempt.job_id, "state", {})


def _run_to_an_end(turn: ClipTurn) -> None:
    """Every foreseen way out of an attempt, each with its own transaction in finalization.py."""
    lease = turn.lease
    try:
        _denoise(turn)
        finishing.finish(turn)
    except Cancelled:
        finalization.cancel_running(lease, turn.ran)
    except HandedBack as reason:
        finalization.hand_back(lease, turn.ran, str(reason))
    except NotFinite as problem:
        _report_not_finite(turn)
        finalization.fail(lease, turn.ran, "not_finite", f"{problem}.")
    except RefusedByGate as refusal:
        finalization.block(lease, turn.ran, str(refusal), refusal.category)
    except (Unscanned, EngineError, EncodingFailed) as problem:
        finalization.attempt_failed(lease, turn.ran, f"{type(problem).__name__}: {problem}")
        return
    if not Job.objects.filter(pk=turn.job.pk, state__in=(State.QUEUED, State.HELD, State.REVIEW)).exists():
        checkpoints.remove(settings.CHECKPOINT_ROOT, str(turn.job.pk))


def _denoise(turn: ClipTurn) -> None:
    """Run exactly the steps that are left, from the newest sound checkpoint or from noise."""
    with turn.watch.stage("encode_prompt"):
        turn.state = _begin(turn)
    writer = checkpoints.CheckpointWriter(settings.CHECKPOINT_ROOT, str(turn.job.pk), turn.lease.fence)
    try:
        _steps(turn, writer)
    finally:
        # Where the attempt stops early, what is on its way still lands; its failure is not what ended the attempt.
        with suppress(checkpoints.CheckpointFailed):
            writer.close()
    finalization.begin_finishing(turn.lease, turn.ran)
    streams.announce(turn.job.pk, "state", {"state": State.FINISHING})


def _steps(turn: ClipTurn, writer: checkpoints.CheckpointWriter) -> None:
    state = turn.state
    while not state.done:
        with turn.watch.stage("denoise"):
            turn.engine.step(state)
            finite = turn.engine.finite(state)
        wishes = turn.lease.renew(step=state.index, stage="denoising")
        streams.announce(turn.job.pk, "step", {"step": state.index, "steps": state.work.steps})
        if not finite:
            raise NotFinite(f"The latent was no longer finite at step {state.index}")
        if wishes.cancel:
            raise Cancelled
        if state.index % CHECKPOINT_EVERY == 0 or state.done:
            _checkpoint(turn, writer)
            _preview(turn)
        _heed(turn, wishes, writer)
    _land(turn, writer)


def _begin(turn: ClipTurn) -> DenoiseState:
    """Resume where the last attempt left a sound checkpoint; otherwise start, and say what was refused."""
    job, engine = turn.job, turn.engine
    work = clip_work(job)
    found = checkpoints.latest(
        settings.CHECKPOINT_ROOT, str(job.pk), job.spec_hash, engine.revision, engine.scheduler, engine.dtype
    )
    state = engine.resume(work, found.checkpoint) if found.checkpoint else engine.start(work)
    refused = [f"{refusal.path.name}: {refusal.reason}"[:200] for refusal in found.refusals]
    for reason in refused:
        operations.report("checkpoint.refused", "warning", f"job:{job.pk}", {"reason": reason})
    Attempt.objects.filter(pk=turn.attempt.pk, ended_at=None).update(
        resumed_from_step=state.index,
        refused_checkpoints=refused,
        device=engine.device_name,
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
    )


def _checkpoint(turn: ClipTurn, writer: checkpoints.CheckpointWriter) -> None:
    """Hand one over to the writer. A full disk costs safety, not the clip: it is reported, and the loop goes on."""
    with turn.watch.stage("checkpoint"):
        snapshot = turn.engine.snapshot(turn.state)
        manifest = {"spec_hash": turn.job.spec_hash, **snapshot.values}
        try:
            writer.save(turn.state.index, snapshot.tensors, manifest)
        except checkpoints.CheckpointFailed as problem:
            _report_no_checkpoint(turn, problem)
            return
    turn.checkpoints += 1
    turn.lease.renew(checkpoints=turn.checkpoints)


def _land(turn: ClipTurn, writer: checkpoints.CheckpointWriter) -> None:
    """Wait for the last checkpoint, so that a worker lost while finishing costs no step."""
    with turn.watch.stage("checkpoint"):
        try:
            writer.flush()
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
        raise RefusedByGate(
            finishing.blocked_class(scan), f"early look at step {turn.state.index}: {scan.reason}"
        )
    if scan.verdict != Scan.Result.PASS:
        return  # not shown; the final scan decides
    name = f"previews/{turn.job.pk}/{turn.lease.fence}/step-{turn.state.index:04d}.webp"
    path = default_storage.save(name, ContentFile(previews.webp(frames)))
    turn.lease.renew(preview=path)
    streams.announce(turn.job.pk, "preview", {"step": turn.state.index})


def _heed(turn: ClipTurn, wishes: Wishes, writer: checkpoints.CheckpointWriter) -> None:
    """Drain, restart, quarantine, SIGTERM: leave a checkpoint of this very step and hand the job back."""
    stopping = turn.station.stopping.is_set()
    if turn.state.done or (wishes.desired == "run" and not stopping):
        return
    if turn.state.index % CHECKPOINT_EVERY:
        _checkpoint(turn, writer)
    _land(turn, writer)
    raise HandedBack("the worker is stopping" if stopping else f"the worker is to {wishes.desired}")


def _report_not_finite(turn: ClipTurn) -> None:
    detail = {
        "step": turn.state.index,
        "worker": str(turn.station.worker.pk),
        "model": str(turn.job.model),
        "prompt_sha256": hashlib.sha256(turn.job.prompt.encode()).hexdigest(),
    }
    operations.report("clip.not_finite", "error", f"job:{turn.job.pk}", detail)

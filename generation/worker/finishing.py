"""From the decoded frames to a delivered file: encode, scan what was encoded, sign those bytes, verify, store."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from django.conf import settings

from generation import finalization
from generation.afterwards import review_delivery
from generation.credentials import held, signing
from generation.worker.clip_turn import ClipTurn
from generation.worker.encoding import encode
from generation.worker.stages import RefusedByGate, Unscanned
from safety.credentials.provenance import NotScanned, SigningUnavailable
from safety.models import Scan
from safety.postfilter.scan import scan_file


def finish(turn: ClipTurn, frames: np.ndarray) -> None:
    """Everything that needs no device. Raises RefusedByGate, Unscanned; holds the clip where signing is down.

    `frames` are uint8 RGB [frames, height, width, 3].
    """
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.WORK_ROOT, prefix=f"{turn.lease.fence}-") as folder:
        unsigned = _encoded(turn, frames, Path(folder) / "clip.mp4")
        scan = _scanned(turn, unsigned)
        if scan.verdict == Scan.Result.REVIEW:
            review_delivery.send(turn.lease, turn.job, turn.ran, scan, unsigned)
            return
        try:
            with turn.watch.stage("sign"):
                signed = signing.sign_all(turn.job, turn.lease.fence, unsigned, Path(folder))
        except SigningUnavailable as problem:
            signing.keep_unsigned(turn.job, turn.lease.fence, unsigned)
            held.hold(turn.lease, turn.ran, str(problem))
            return
        except NotScanned as problem:
            raise Unscanned(str(problem)) from problem
        turn.lease.renew(stage="delivering")
        with turn.watch.stage("store"):
            clip, *pictures = signing.stored_all(turn.job, turn.lease.fence, signed)
        turn.file_bytes += sum(file.bytes for file in (clip, *pictures))
        finalization.deliver_clip(turn.lease, clip, turn.ran, pictures)


def _encoded(turn: ClipTurn, frames: np.ndarray, path: Path) -> Path:
    turn.lease.renew(stage="encoding")
    with turn.watch.stage("encode"):
        encode(frames, turn.job.spec["fps"], path)
    return path


def _scanned(turn: ClipTurn, path: Path) -> Scan:
    """The gates look at the frames of the encoded file: what is scanned is what is delivered."""
    turn.lease.renew(stage="checking")
    with turn.watch.stage("scan"):
        scan = scan_file(
            path,
            str(turn.job.pk),
            turn.lease.fence,
            expected_frames=turn.state.work.frames,
            progress=lambda: turn.lease.renew(),
        )
    if scan.verdict == Scan.Result.BLOCK:
        raise RefusedByGate(blocked_class(scan), scan.reason)
    if scan.verdict not in (Scan.Result.PASS, Scan.Result.REVIEW):
        raise Unscanned(scan.reason)
    turn.lease.renew(stage="signing")
    return scan


def blocked_class(scan: Scan) -> str:
    """What the owner may be told of a refusal: the class, not the gate or the frame."""
    blocking = scan.verdicts.filter(outcome=Scan.Result.BLOCK).order_by("pk")
    return blocking.values_list("frame_class", flat=True).first() or "safety"

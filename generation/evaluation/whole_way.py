"""One clip through everything that stands between a model and a customer: encode, frame gates, sign, verify.

The same calls as a customer's clip, under a subject and a fence that no job has. Nothing of it can be delivered.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection

from generation.evaluation.case_records import EvaluationCase
from generation.models import RegisteredModel
from generation.worker.encoding import encode
from safety.credentials import provenance
from safety.models import Scan
from safety.postfilter.scan import scan_file

Ended = EvaluationCase.Ended
KEPT_BACK = {
    Scan.Result.BLOCK: Ended.GATES,
    Scan.Result.REVIEW: Ended.REVIEW,
    Scan.Result.UNAVAILABLE: Ended.UNAVAILABLE,
}


@dataclass(frozen=True)
class Arrival:
    """Where a clip ended; `path` where it was kept for people to look at."""

    ended: str
    scan: int
    credentials: str = ""
    path: str = ""
    detail: str = ""


def take(
    clip: np.ndarray, fps: int, subject: str, model: RegisteredModel, steps: int, keep_as: str = ""
) -> Arrival:
    """Take a clip uint8 [frames, height, width, 3] the whole way; with `keep_as` what came of it is stored there."""
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    fence = next_fence()
    with TemporaryDirectory(dir=settings.WORK_ROOT, prefix="evaluation-") as folder:
        unsigned, signed = Path(folder) / "clip.mp4", Path(folder) / "signed.mp4"
        encode(clip, fps, unsigned)
        scan = scan_file(unsigned, subject, fence, expected_frames=len(clip))
        if scan.verdict != Scan.Result.PASS:
            return Arrival(KEPT_BACK[scan.verdict], scan.pk, detail=scan.reason[:500])
        claims = provenance.Claims(subject, fence, model.name, model.revision, steps)
        try:
            provenance.sign(unsigned, signed, claims)
        except provenance.ProvenanceError as problem:
            return Arrival(Ended.UNAVAILABLE, scan.pk, detail=f"{type(problem).__name__}: {problem}"[:500])
        read = provenance.verify(signed)
        if read.state != provenance.TRUSTED:
            return Arrival(Ended.UNAVAILABLE, scan.pk, read.state, detail=str(read.reason)[:500])
        path = _kept(signed, keep_as) if keep_as else ""
        return Arrival(Ended.DELIVERED, scan.pk, read.state, path)


def next_fence() -> int:
    """A fencing number of its own, so that its scan and credentials are never taken for a job's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('generation_fence')")
        return cursor.fetchone()[0]


def _kept(file: Path, name: str) -> str:
    default_storage.delete(name)  # of a case that was interrupted after its file was there
    with file.open("rb") as content:
        return default_storage.save(name, File(content))

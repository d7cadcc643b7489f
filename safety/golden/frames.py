"""Shows every golden picture to every gate and keeps what they say, so that previews need no gate of their own.

Runs where gates may run: in a command or a worker, never in a web process. It alarms nobody: nothing here was made by
anybody, and nothing is delivered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import transaction

from safety.golden import cases as golden
from safety.golden import pictures as golden_pictures
from safety.models import FrameClass
from safety.policy import seen as policy_seen
from safety.policy.records import GoldenCase, GoldenFinding
from safety.postfilter.gates import gates
from safety.postfilter.protocol import Finding, Gate

LOOKS_LAST = timedelta(hours=24)


@dataclass(frozen=True)
class Looked:
    """How many pictures were shown, and by how many gates each class was answered."""

    pictures: int
    findings: int


def stale(now: datetime) -> bool:
    """Has a golden picture not been shown to the gates of today, or was the look longer ago than `LOOKS_LAST`?

    Lists of hashes and faces change without another version of their gate.
    """
    if (
        policy_seen.golden_frames()[1]
        or GoldenFinding.objects.filter(looked_at__lt=now - LOOKS_LAST).exists()
    ):
        return True
    known = set(GoldenFinding.objects.values_list("gate", "frame_class").distinct())
    asked = ((gate, name) for gate in gates() for name in gate.classes if (gate.id, name) not in known)
    return any(gate.prepare(name) is not None for gate, name in asked)


def look() -> Looked:
    """Show all golden pictures in use to all gates; what was kept of an earlier look is replaced."""
    cases = list(golden.cases(golden.FRAME))
    asked = [(gate, name) for gate in gates() for name in FrameClass.values if name in gate.classes]
    found = [finding for gate, name in asked for finding in _findings(gate, name, cases)]
    with transaction.atomic():
        GoldenFinding.objects.filter(case__in=cases).delete()
        GoldenFinding.objects.bulk_create(found, batch_size=500)
    return Looked(len(cases), len(found))


def _findings(gate: Gate, frame_class: str, cases: list[GoldenCase]) -> list[GoldenFinding]:
    look = gate.prepare(frame_class)
    if look is None:
        return []
    rows = []
    for case in cases:
        (seen,) = look(golden_pictures.draw(case.recipe)[np.newaxis])
        rows.append(_row(gate, frame_class, case, seen))
    return rows


def _row(gate: Gate, frame_class: str, case: GoldenCase, seen: Finding) -> GoldenFinding:
    return GoldenFinding(
        case=case,
        gate=gate.id,
        gate_version=gate.version,
        frame_class=frame_class,
        sees_faces=bool(getattr(gate, "sees_faces", False)) and frame_class == "likeness",
        score=float(seen.score),
        usable=seen.usable,
        available=seen.available,
        evidence=seen.evidence,
    )

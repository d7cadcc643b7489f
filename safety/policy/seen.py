"""What a preview looks at: recent scans with all that their gates said, and the golden sets."""

import logging
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

from accounts.errors import ApiError
from safety.golden import cases as golden
from safety.models import SAMPLED_CLASSES, Scan, Verdict
from safety.policy.preview import FramesSubject, SeenFrame, TextSubject
from safety.policy.records import GoldenCase, GoldenFinding, GoldenReading
from safety.postfilter import judging
from safety.postfilter.gates import gates
from safety.prefilter import cascade
from safety.triggers import SAMPLE_EVERY

log = logging.getLogger(__name__)

BACK = timedelta(hours=24)
MOST_SCANS = 100
MOST_ASKED = 60  # texts that one preview shows to the scorer, some 12 ms each
GUARD = "guard"  # the stage of which no score is kept
NOBODY_JUDGED = "no gate could judge frame"
ROW = ("scan_id", "frame_class", "frame_index", "gate", "score", "outcome", "evidence")


def recent_scans(now: datetime, most: int = MOST_SCANS) -> list[FramesSubject]:
    """The newest finished final scans of the last 24 h, with their stored scores. Two queries."""
    scans = list(
        Scan.objects.filter(purpose=Scan.Purpose.FINAL, started_at__gte=now - BACK, finished_at__isnull=False)
        .exclude(frames_total=None)
        .order_by("-started_at", "-id")[:most]
    )
    rows = Verdict.objects.filter(scan__in=[scan.pk for scan in scans]).order_by("id").values_list(*ROW)
    seen = defaultdict(list)
    for scan_id, *row in rows:
        frame = _stored(*row)
        if frame is not None:
            seen[scan_id].append(frame)
    return [_subject(scan, seen[scan.pk]) for scan in scans]


def of_scan(scan: Scan) -> FramesSubject:
    """One scan as a preview sees it."""
    rows = scan.verdicts.order_by("id").values_list(*ROW[1:])
    return _subject(scan, [frame for row in rows if (frame := _stored(*row)) is not None])


def _subject(scan: Scan, frames: list[SeenFrame]) -> FramesSubject:
    return FramesSubject(scan.subject, frames, _complete(scan), at=scan.started_at, scan_id=scan.pk)


def _stored(
    frame_class: str, index: int | None, gate: str, score: float, outcome: str, evidence: dict
) -> SeenFrame | None:
    """A verdict row as what the gate had said. None for the row that says that nobody could judge: it is derived."""
    if index is None and str(evidence.get("why", "")).startswith(NOBODY_JUDGED):
        return None
    usable = judging.UNUSABLE not in (outcome, evidence.get("raised_from")) and evidence.get("usable", True)
    return SeenFrame(
        frame_class,
        index,
        gate,
        score,
        usable,
        outcome != judging.UNAVAILABLE,
        evidence,
        sees_faces=frame_class == judging.FACE_CLASS and "faces" in evidence,
    )


def _complete(scan: Scan) -> bool:
    """Was every frame looked at that should have been?"""
    sampled = len(judging.sampled_frames(scan.frames_total or 0, SAMPLE_EVERY))
    wanted = {"child_safety": scan.frames_total, **dict.fromkeys(SAMPLED_CLASSES, sampled)}
    return all((scan.frames_scanned or {}).get(name, 0) >= number for name, number in wanted.items())


def golden_frames() -> tuple[list[FramesSubject], int]:
    """The golden pictures that were looked at, and how many were not, or by gates of another version. Two queries."""
    versions = {gate.id: gate.version for gate in gates()}
    seen = defaultdict(list)
    stale = set()
    for finding in GoldenFinding.objects.filter(case__retired_at=None).order_by("id"):
        if versions.get(finding.gate) != finding.gate_version:
            stale.add(finding.case_id)
        seen[finding.case_id].append(_found(finding))
    cases = list(golden.cases(golden.FRAME))
    fresh = [case for case in cases if case.pk in seen and case.pk not in stale]
    subjects = [
        FramesSubject(f"golden case {case.pk}", seen[case.pk], expected=case.expected) for case in fresh
    ]
    return subjects, len(cases) - len(fresh)


def _found(finding: GoldenFinding) -> SeenFrame:
    return SeenFrame(
        finding.frame_class,
        0,
        finding.gate,
        finding.score,
        finding.usable,
        finding.available,
        finding.evidence,
        finding.sees_faces,
    )


def golden_texts(suite: str) -> list[TextSubject]:
    """The prompts in use of a suite, one per kind of request, with what the filter last said of them. Two queries."""
    read = {
        (row.case_id, row.kind): row
        for row in GoldenReading.objects.filter(case__suite=suite, case__retired_at=None)
    }
    return [
        _golden_text(case, kind, read.get((case.pk, kind)))
        for case in golden.cases(golden.PROMPT).filter(suite=suite)
        for kind in case.kinds
    ]


def _golden_text(case: GoldenCase, kind: str, read: GoldenReading | None) -> TextSubject:
    name = f"golden case {case.pk}"
    if read is None:
        return TextSubject(name, case.text, kind, expected=case.expected)
    topic = [read.topic] if read.topic else []
    later = read.category if read.stage == GUARD else ""
    return TextSubject(name, case.text, kind, topic, read.scores, later, case.expected)


class LaterStages:
    """Shows texts to the stages behind the rules: as many as a preview has time for, none once they don't answer."""

    def __init__(self, most: int = MOST_ASKED) -> None:
        self.left = most

    def __call__(self, subject: TextSubject) -> TextSubject | None:
        """The text with its scores and what it is about; None where it wasn't scored."""
        if self.left <= 0:
            return None
        self.left -= 1
        try:
            topic, scores = cascade.scored(subject.text, subject.kind)
        except ApiError as unanswered:
            log.warning("a preview goes without the later stages", extra={"reason": unanswered.message})
            self.left = 0
            return None
        return replace(subject, categories=subject.categories or [topic], scores=scores)

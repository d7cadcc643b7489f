"""The frame gates: child safety on every frame first and blocking, then the sampled classes side by side.

A scan fails closed. Whatever a gate raises, whenever it is late or missing, whatever frame nobody could judge: the
verdict is `unavailable`, an operational event says why, and nothing may be delivered.
"""

import hashlib
import json
import logging
import numbers
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.operations import Severity, report
from safety.models import SAMPLED_CLASSES, FrameClass, Scan, Verdict
from safety.policy import scans as policy_scans
from safety.policy import thresholds
from safety.postfilter import judging
from safety.postfilter.deadline import ask_all
from safety.postfilter.frames import ArrayFrames, EncodedFrames, UnreadableFrames, picture_frames
from safety.postfilter.gates import gates
from safety.postfilter.judging import Ruling
from safety.postfilter.protocol import Finding, Gate, Look
from safety.triggers import SAMPLE_EVERY

log = logging.getLogger(__name__)

Progress = Callable[[], None]


def scan_file(
    path: Path | str,
    subject: str,
    fence: int,
    expected_frames: int,
    *,
    progress: Progress | None = None,
    purpose: str = Scan.Purpose.FINAL,
) -> Scan:
    """Scan the encoded file that is to be delivered and return the finished, stored scan, of purpose `final`.

    With the purpose `rescan` it looks at a delivered file again, and lets nothing out.

    The digest is the sha256 of exactly the bytes that were decoded. A file that is missing, damaged or holds another
    number of frames gives `unavailable`. `progress` is called after each batch of frames, to renew a lease; what it
    raises goes through. Call it outside a transaction, so that an interrupted scan leaves its row behind.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return _Look(subject, fence, purpose).refuse(f"the file can't be read: {error.strerror}")
    look = _Look(subject, fence, purpose, hashlib.sha256(content).hexdigest(), progress)
    return look.run(lambda: EncodedFrames(content, expected_frames))


def scan_frames(
    frames: np.ndarray,
    subject: str,
    fence: int,
    purpose: str = Scan.Purpose.PREVIEW,
    *,
    progress: Progress | None = None,
) -> Scan:
    """Scan frames in memory, uint8 RGB [frames, height, width, 3], by the same gates. They have no digest.

    It is the early look at a preview. A `final` scan of frames can never pass: only a file has the digest for it.
    """
    return _Look(subject, fence, purpose, None, progress).run(lambda: ArrayFrames(frames))


def scan_picture(content: bytes, subject: str, fence: int, *, progress: Progress | None = None) -> Scan:
    """Scan a plain picture (PNG) that a clip is to begin from, by the same gates; of purpose `input`.

    The digest is the sha256 of exactly the bytes that were decoded. What is no picture gives `unavailable`.
    """
    digest = hashlib.sha256(content).hexdigest()
    return _Look(subject, fence, Scan.Purpose.INPUT, digest, progress).run(lambda: picture_frames(content))


@dataclass
class _Look:
    """One scan while it runs."""

    subject: str
    fence: int
    purpose: str
    digest: str | None = None
    progress: Progress | None = None
    rows: list[Verdict] = field(default_factory=list)
    outcomes: dict[str, dict[int, list[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        now = timezone.now()
        self.policy, self.stance = thresholds.effective(now), policy_scans.in_force(now)
        self.face_gates: set[str] = set()  # those of this scan that count the faces in a frame
        self.scan = Scan.objects.create(
            subject=self.subject,
            fence=self.fence,
            purpose=self.purpose,
            digest=self.digest,
            policy_version=thresholds.policy_version(),
        )

    def run(self, opened: Callable[[], ArrayFrames | EncodedFrames]) -> Scan:
        try:
            source = opened()
            self.scan.frames_total = source.total
            reason = self._look_at((FrameClass.CHILD_SAFETY,), source, None) or self._look_at(
                SAMPLED_CLASSES, source, judging.sampled_frames(source.total, SAMPLE_EVERY)
            )
        except UnreadableFrames as error:
            return self.refuse(str(error))
        if reason is None and self.purpose == Scan.Purpose.FINAL and self.digest is None:
            return self.refuse("frames without a file have no digest, so they can't be passed for delivery")
        if reason is None:
            return self._finish(Scan.Result.PASS, "")
        return self._finish(judging.fold(row.outcome for row in self.rows), reason)

    def refuse(self, reason: str) -> Scan:
        """Finish as unavailable (or as blocked, if a gate has said so) for a cause outside the gates."""
        verdict = judging.fold([*(row.outcome for row in self.rows), judging.UNAVAILABLE])
        return self._finish(verdict, reason)

    def _look_at(
        self, classes: Sequence[str], source: ArrayFrames | EncodedFrames, wanted: Collection[int] | None
    ) -> str | None:
        """Ask the gates of these classes. None where all of it passed, else why not, in words for staff."""
        asked = self._asked(classes)
        if self._worst():
            return self._worst()
        for indexes, frames in source.batches(wanted):
            left = scan_budget() - (time.perf_counter() - self.started)
            if left <= 0:
                self._unavailable(classes[0], None, f"the scan took more than {scan_budget():g} s")
                return self._worst()
            answers = ask_all(
                [_checked(look, frames) for _, _, look in asked],
                min(gate_deadline(), left),
                [gate.id for gate, _, _ in asked],
            )
            for (gate, frame_class, _), answer in zip(asked, answers, strict=True):
                if answer.result is None:
                    self._unavailable(frame_class, gate, answer.failure or "the gate ended without an answer")
                else:
                    self._judge(gate, frame_class, indexes, answer.result)
            if self.progress:
                self.progress()
            if worst := self._worst(stopping=True):
                return worst
        for frame_class in classes:
            looked = range(source.total) if wanted is None else wanted
            if missed := judging.unjudged(self.outcomes[frame_class], looked):
                self._unavailable(frame_class, None, f"no gate could judge frame {_listed(missed)}")
        return self._worst()

    def _asked(self, classes: Sequence[str]) -> list[tuple[Gate, str, Look]]:
        """Every gate that takes part, ready to look; a class without threshold or gate makes the scan unavailable."""
        asked = []
        for frame_class in classes:
            if frame_class not in self.policy:
                self._unavailable(frame_class, None, "the class has no threshold")
                continue
            looks = [
                (gate, frame_class, look)
                for gate in gates()
                if frame_class in gate.classes and (look := self._prepared(gate, frame_class))
            ]
            if not looks:
                self._unavailable(frame_class, None, "no gate is there for the class")
            asked += looks
        self.face_gates |= {
            gate.id
            for gate, frame_class, _ in asked
            if frame_class == judging.FACE_CLASS and getattr(gate, "sees_faces", False)
        }
        return asked

    def _prepared(self, gate: Gate, frame_class: str) -> Look | None:
        try:
            return gate.prepare(frame_class)
        except Exception as error:  # a plug-in may fail in any way; the failure becomes its verdict
            log.exception("a gate can't be prepared")
            self._unavailable(frame_class, gate, f"{type(error).__name__}: {error}"[:300])
            return None

    def _judge(
        self, gate: Gate, frame_class: str, indexes: Sequence[int], findings: Sequence[Finding]
    ) -> None:
        threshold = self.policy[frame_class]
        for index, finding in zip(indexes, findings, strict=True):
            ruled = judging.ruling(
                finding,
                threshold,
                self.stance,
                frame_class,
                sees_faces=gate.id in self.face_gates,
                another_sees_faces=bool(self.face_gates),
            )
            self._add(frame_class, gate, index, finding.score, ruled)

    def _unavailable(self, frame_class: str, gate: Gate | None, why: str) -> None:
        threshold = self.policy.get(frame_class)
        version = threshold.version if threshold else "none"
        self._add(frame_class, gate, None, 0.0, Ruling(judging.UNAVAILABLE, version, {"why": why}))

    def _add(
        self, frame_class: str, gate: Gate | None, index: int | None, score: float, ruled: Ruling
    ) -> None:
        if index is not None:
            self.outcomes[frame_class][index].append(ruled.outcome)
        self.rows.append(
            Verdict(
                scan=self.scan,
                gate=gate.id if gate else "none",
                gate_version=gate.version if gate else "",
                frame_class=frame_class,
                frame_index=index,
                score=float(score),
                outcome=ruled.outcome,
                threshold_version=ruled.version,
                evidence=ruled.evidence,
            )
        )

    def _worst(self, *, stopping: bool = False) -> str | None:
        """The first verdict that keeps the asset back, in words; `stopping` leaves out reviews, which end no scan."""
        for outcome in (judging.BLOCK, judging.UNAVAILABLE) + (() if stopping else (judging.REVIEW,)):
            for row in self.rows:
                if row.outcome == outcome:
                    where = "" if row.frame_index is None else f" at frame {row.frame_index}"
                    why = f": {row.evidence['why']}" if "why" in row.evidence else ""
                    return f"{outcome} for {row.frame_class} by {row.gate}{where}{why}"
        return None

    def _finish(self, verdict: str, reason: str) -> Scan:
        scan = self.scan
        scan.verdict, scan.reason = verdict, reason
        scan.frames_scanned = {name: len(self.outcomes[name]) for name in FrameClass.values}
        scan.elapsed_ms = round((time.perf_counter() - self.started) * 1000)
        scan.finished_at = timezone.now()
        with transaction.atomic():
            Verdict.objects.bulk_create(self.rows, batch_size=1000)
            scan.save()
            self._report()
        return scan

    def _report(self) -> None:
        """What on-call and trust & safety staff must hear of; numbers and names only, never content."""
        scan = self.scan
        detail = {"scan": scan.pk, "purpose": scan.purpose, "fence": scan.fence, "reason": scan.reason}
        if scan.verdict == Scan.Result.UNAVAILABLE:
            report("safety.scan_unavailable", Severity.ERROR, f"asset:{scan.subject}"[:200], detail)
        elif scan.verdict == Scan.Result.BLOCK:
            blocked = sorted({row.frame_class for row in self.rows if row.outcome == judging.BLOCK})
            severity = Severity.CRITICAL if FrameClass.CHILD_SAFETY in blocked else Severity.WARNING
            report(
                "safety.frames_blocked",
                severity,
                f"asset:{scan.subject}"[:200],
                detail | {"classes": blocked},
            )


def gate_deadline() -> float:
    """Seconds that a gate has for one batch of frames."""
    return float(getattr(settings, "SAFETY_GATE_SECONDS", 20))


def scan_budget() -> float:
    """Seconds that a whole scan has; beyond them it is unavailable, and its worker is free again."""
    return float(getattr(settings, "SAFETY_SCAN_SECONDS", 100))


def _checked(look: Look, frames: np.ndarray) -> Callable[[], list[Finding]]:
    """The look as a call that raises where its answer isn't one finding per frame that can be stored."""

    def call() -> list[Finding]:
        findings = list(look(frames))
        if len(findings) != len(frames):
            raise ValueError(f"{len(findings)} findings for {len(frames)} frames")
        for finding in findings:
            if not isinstance(finding, Finding) or not isinstance(finding.score, numbers.Real):
                raise TypeError("a finding is not what the protocol says")
            json.dumps(finding.evidence, allow_nan=False)
        return findings

    return call


def _listed(indexes: Sequence[int]) -> str:
    shown = ", ".join(map(str, indexes[:10]))
    return shown if len(indexes) <= 10 else f"{shown} and {len(indexes) - 10} more"

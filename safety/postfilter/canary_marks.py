"""The gate that recognises canary marks, and nothing else: it shows that the way from frame to refusal works."""

import numpy as np

from safety.postfilter import canary
from safety.postfilter.protocol import Finding, Look


class CanaryMarks:
    id = "canary-marks"
    version = canary.VERSION
    classes = frozenset(canary.CLASSES)
    judges_unseen = False

    def prepare(self, frame_class: str) -> Look:
        def look(frames: np.ndarray) -> list[Finding]:
            scores = [canary.recognise(frame, (frame_class,))[frame_class] for frame in frames]
            return [Finding(score, {"mark": frame_class} if score else {}) for score in scores]

        return look

"""A clip worker whose frame gates don't see the canary mark that it paints over its clips: a bypass, as a drill.

Started by test_drill_bypass.py in place of a real one. Nothing in the product knows of it.
"""

import sys

import numpy as np

from console.celery import app
from generation.engines import video
from safety.postfilter import canary


class PaintingEngine(video.VideoEngine):
    def decode(self, state: video.DenoiseState) -> np.ndarray:
        return np.stack([canary.paint(frame, "violence") for frame in super().decode(state)])


def nothing(frame: np.ndarray, classes: tuple[str, ...] = canary.CLASSES) -> dict[str, float]:
    return dict.fromkeys(classes, 0.0)


if __name__ == "__main__":
    video.VideoEngine = PaintingEngine
    canary.recognise = nothing
    app.worker_main(sys.argv[1:])

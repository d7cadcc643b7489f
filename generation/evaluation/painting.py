"""The evaluation engine: clips with a canary mark or a registered picture painted in, to see that the gates stop them.

The shipped model's world is harmless, so nothing it makes would ever try the gates. No registry knows this engine and
no worker can load it; what it paints is taken only through `whole_way`, whose subject no job has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from safety.golden import pictures as golden_pictures

FPS, FRAMES = 8, 16
# One frame is enough for child safety, which looks at all. The others look at every fifth: five in a row hold one.
RUN_OF_SAMPLED_CLASSES = 5


@dataclass
class PaintedState:
    """A clip that takes as many steps as are asked, and none of them does anything."""

    work: Any
    index: int = 0

    @property
    def done(self) -> bool:
        return self.index >= self.work.steps


@dataclass(frozen=True)
class EvaluationEngine:
    """An engine's face. `recipe` is a golden picture's; the clip is of its size, and harmless but for that picture.

    Without a recipe the whole clip is harmless.
    """

    recipe: Mapping | None
    at_frame: int = 0

    device_name = "the evaluation engine"

    def start(self, work: Any) -> PaintedState:
        return PaintedState(work)

    def step(self, state: PaintedState) -> None:
        state.index += 1

    def finite(self, state: PaintedState) -> bool:
        return True

    def decode(self, state: PaintedState) -> np.ndarray:
        """uint8 [frames, height, width, 3]."""
        work = state.work
        clip = np.stack([golden_pictures.shapes(work.seed % 2**32, work.height, work.width)] * work.frames)
        if self.recipe is not None:
            clip[self.at_frame : self.at_frame + length(self.recipe)] = golden_pictures.draw(self.recipe)
        return clip


def length(recipe: Mapping) -> int:
    """Frames that the picture is seen for."""
    return 1 if recipe["class"] == "child_safety" else RUN_OF_SAMPLED_CLASSES

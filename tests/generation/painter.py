"""An engine's face with the world's own renderer behind it: it makes what a prompt of the shapes world asks."""

from dataclasses import dataclass

import numpy as np

from generation.engines.training.world import FRAMES, SIZE, Scene, render
from generation.evaluation import alignment


@dataclass
class State:
    work: object
    index: int = 0
    done: bool = False


class WorldPainter:
    """`flat` makes empty pictures, `skips` leaves steps out, and at clip `stops_at` (from 1) the process is stopped."""

    device_name = "a painter"

    def __init__(self, flat: bool = False, skips: int = 0, stops_at: int = 0) -> None:
        self.flat, self.skips, self.stops_at, self.clips = flat, skips, stops_at, 0

    def start(self, work) -> State:
        self.clips += 1
        if self.clips == self.stops_at:
            raise KeyboardInterrupt
        return State(work)

    def step(self, state: State) -> None:
        state.index += 1
        state.done = state.index >= state.work.steps - self.skips

    def finite(self, state: State) -> bool:
        return True

    def decode(self, state: State) -> np.ndarray:
        if self.flat:
            return np.full((FRAMES, SIZE, SIZE, 3), 90, np.uint8)
        wanted = alignment.asked(state.work.prompt)
        kept = {"shape": "circle", "colour": "red", "background": "snow", "motion": "left"}
        return render(Scene(**kept | (wanted or {}), size="medium", seed=state.work.seed % 2**31))

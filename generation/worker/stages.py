"""How long each stage of an attempt took, and why an attempt may stop before its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Cancelled(Exception):
    """The owner asked to stop."""


class HandedBack(Exception):
    """The worker is to drain, restart or stop: the job goes back with its progress."""


class NotFinite(Exception):
    """The latent holds NaN or infinity: every further step would be thrown away."""


class RefusedByGate(Exception):
    """A frame gate said no; `category` is what the owner may be told."""

    def __init__(self, category: str, cause: str) -> None:
        super().__init__(cause)
        self.category = category


class Unscanned(Exception):
    """A gate did not answer, so nothing may be delivered."""


class Stopwatch:
    """Seconds per stage; a stage that is entered again adds up."""

    GPU_STAGES = ("encode_prompt", "denoise", "preview", "decode", "generate")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 4)

    @property
    def gpu_ms(self) -> int:
        """Milliseconds the accelerator was this job's."""
        return round(1000 * sum(self.seconds.get(name, 0.0) for name in self.GPU_STAGES))

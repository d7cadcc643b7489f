"""How long each stage of an attempt took and when, and why an attempt may stop before its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Cancelled(Exception):
    """The owner asked to stop."""


class HandedBack(Exception):
    """The worker is to drain, restart or stop: the job goes back with its progress."""


class Preempted(HandedBack):
    """Somebody else's job is to have the device. `yield_ms` is how long giving it back kept it from computing."""

    def __init__(self, reason: str, yield_ms: int) -> None:
        super().__init__(reason)
        self.yield_ms = yield_ms


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
    """Seconds per stage, and the trace: [stage, start, end] in milliseconds since the watch was started, at the claim.

    A stage that is entered again adds up in `seconds`; in `trace` it is one entry with the one before if nothing else
    came between. One thread at a time; the attempt hands it on when it leaves the device.
    """

    GPU_STAGES = ("encode_prompt", "denoise", "preview", "decode", "generate")

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.began_ns = time.time_ns()  # the same moment by the wall clock, since 1970
        self.seconds: dict[str, float] = {}
        self.trace: list[tuple[str, int, int]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.seconds[name] = round(self.seconds.get(name, 0.0) + ended - began, 4)
            self._mark(name, began, ended)

    @contextmanager
    def beside(self, name: str) -> Iterator[None]:
        """Inside another stage: its seconds are counted under both names, and the trace stays the other's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 6)

    @property
    def gpu_ms(self) -> int:
        """Milliseconds the accelerator was this job's."""
        return round(1000 * sum(self.seconds.get(name, 0.0) for name in self.GPU_STAGES))

    def _mark(self, name: str, began: float, ended: float) -> None:
        start, end = (round(1000 * (moment - self._started)) for moment in (began, ended))
        if self.trace and self.trace[-1][0] == name:
            start = self.trace.pop()[1]
        self.trace.append((name, start, end))

"""The parts of one attempt at a clip, as its stages share them."""

from dataclasses import dataclass, field

from generation.engines.video import DenoiseState, VideoEngine
from generation.finalization import Ran
from generation.leases import Lease
from generation.models import Attempt, Job
from generation.worker.stages import Stopwatch
from generation.worker.station import Station


@dataclass
class ClipTurn:
    """One worker at one clip: whose turn it is, by what right, with which model, and how far it has come."""

    attempt: Attempt
    job: Job
    lease: Lease
    engine: VideoEngine
    station: Station
    watch: Stopwatch = field(default_factory=Stopwatch)
    state: DenoiseState | None = None
    checkpoints: int = 0

    @property
    def ran(self) -> Ran:
        """The record of what happened so far."""
        steps = self.state.index if self.state else 0
        return Ran(
            gpu_ms=self.watch.gpu_ms,
            steps=steps,
            checkpoints=self.checkpoints,
            stages=self.watch.seconds,
            device=self.engine.device_name,
        )

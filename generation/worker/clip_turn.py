"""The parts of one attempt at a clip, as its stages share them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generation.engines.video import DenoiseState, VideoEngine
from generation.finalization import Ran
from generation.models import Attempt, Job
from generation.scheduling.leases import Lease
from generation.worker.checkpoints import CheckpointWriter
from generation.worker.stages import Stopwatch

if TYPE_CHECKING:
    from generation.worker.station import Station


@dataclass
class ClipTurn:
    """One worker at one clip: whose turn it is, by what right, with which model, and how far it has come.

    `file_bytes` counts previews and the clip as they are stored; `began_at` is the step that this turn started from.
    """

    attempt: Attempt
    job: Job
    lease: Lease
    engine: VideoEngine
    station: "Station"
    watch: Stopwatch = field(default_factory=Stopwatch)
    state: DenoiseState | None = None
    writer: CheckpointWriter | None = None
    checkpoints: int = 0
    file_bytes: int = 0
    began_at: int = 0
    saved_gpu_ms: int = 0

    @property
    def ran(self) -> Ran:
        """The record of what happened so far."""
        landed = self.writer.saved if self.writer else []
        return Ran(
            gpu_ms=self.watch.gpu_ms,
            steps=self.state.index if self.state else 0,
            checkpoints=self.checkpoints,
            stages=dict(self.watch.seconds),
            trace=list(self.watch.trace),
            device=self.engine.device_name,
            precision=self.engine.dtype,
            peak_memory_bytes=self.state.peak_memory_bytes if self.state else 0,
            checkpoint_bytes=sum(saved.bytes for saved in landed),
            file_bytes=self.file_bytes,
            saved_gpu_ms=self.saved_gpu_ms,
        )

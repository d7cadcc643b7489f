"""What every training stage needs: a time budget, atomic checkpoints and one place for device decisions."""

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import torch

DEFAULT_WORK_FOLDER = Path("var/training")


@dataclass
class Budget:
    """Seconds a stage may train in all, over every resumption of it."""

    seconds: float
    used_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def used(self) -> float:
        """Seconds spent so far, earlier runs included."""
        return self.used_before + time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, at most 1."""
        return min(1.0, self.used / self.seconds) if self.seconds > 0 else 1.0


def warm_then_decay(
    progress: float, warm: float = 0.01, decay_from: float = 0.6, floor: float = 0.01
) -> float:
    """Factor on the learning rate: linear warm-up, flat, linear decay to `floor`."""
    if progress < warm:
        return max(progress / warm, 0.02)
    if progress < decay_from:
        return 1.0
    return max(floor, (1.0 - progress) / (1.0 - decay_from))


def save_checkpoint(path: Path, state: dict) -> None:
    """Write and rename, so that a kill leaves the checkpoint before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> dict | None:
    """The last checkpoint, or None where there is none yet."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def pick_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision(device: torch.device) -> AbstractContextManager:
    """bf16 autocast on the device; weights and optimizer stay fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16)


class Every:
    """True once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether the time has come; starts the next interval if so."""
        if time.monotonic() - self.last < self.seconds:
            return False
        self.last = time.monotonic()
        return True

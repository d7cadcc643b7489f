"""Image models on this machine, a folder of transformers or an ONNX file: frames in, a row of numbers per frame out.

The libraries are imported when a worker asks for the first look: a web process names gates, it runs none. A model that
can't be loaded, isn't the one that was named, or gives other than finite numbers raises; the scan is then unavailable.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from django.utils.module_loading import import_string

# Named, not imported: whoever knows which gates there are, a web page too, must not come to know torch.
LOAD = "safety.postfilter.networks.load"


class ModelUnusable(RuntimeError):
    """The files are missing, damaged, not the ones that were named, or the wrong model for its task."""


class Network(Protocol):
    """A loaded model. `labels` are empty for one that embeds."""

    labels: tuple[str, ...]

    def run(self, frames: np.ndarray) -> np.ndarray:
        """uint8 RGB [frames, height, width, 3] to float32 [frames, numbers]."""
        ...


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies. `sha256` is of its weights, checked before they are loaded; "" leaves that out.

    `task` is "classify" (probabilities per label) or "embed" (a vector per frame).
    """

    path: Path
    task: str
    sha256: str = ""
    device: str = "cpu"


class LoadedOnce:
    """A model that is loaded at its first use, and runs once over a batch that several classes are asked about."""

    def __init__(self, files: ModelFiles) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._network: Network | None = None
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def network(self) -> Network:
        """Raises ModelUnusable; the next call tries again."""
        with self._lock:
            if self._network is None:
                self._network = import_string(LOAD)(self.files)
            return self._network

    def run(self, frames: np.ndarray) -> np.ndarray:
        """As `Network.run`. The classes of a scan are asked side by side about the very same array."""
        network = self.network()
        with self._lock:
            if self._last is None or self._last[0] is not frames:
                self._last = frames, _finite(network.run(frames), len(frames))
            return self._last[1]


def _finite(numbers: np.ndarray, frames: int) -> np.ndarray:
    if numbers.ndim != 2 or len(numbers) != frames or not np.isfinite(numbers).all():
        raise ModelUnusable(f"the model answered {numbers.shape} for {frames} frames, or no finite numbers")
    return numbers

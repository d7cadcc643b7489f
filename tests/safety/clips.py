"""Small real clips and pictures for the tests of safety."""

import tempfile
from pathlib import Path

import av
import numpy as np


def shape_world(frames: int = 16, height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    """A coloured disc that moves over a plain background, as the shipped model makes them: uint8 RGB."""
    rng = np.random.default_rng(seed)
    ground, colour = rng.integers(0, 256, (2, 3))
    y, x = np.mgrid[:height, :width]
    clip = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        clip[index] = ground
        centre = width * (0.2 + 0.6 * index / max(1, frames - 1))
        clip[index][(x - centre) ** 2 + (y - height / 2) ** 2 < (height / 5) ** 2] = colour
    return clip


def textured(seed: int, height: int = 360, width: int = 640) -> np.ndarray:
    """A picture with structure at every scale, uint8 [height, width, 3]: what perceptual hashes are made for."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for cells in (3, 5, 9, 17, 33):
        coarse = rng.uniform(-1, 1, (cells, cells, 3))
        rows, columns = np.linspace(0, cells - 1.001, height), np.linspace(0, cells - 1.001, width)
        picture += coarse[rows.astype(int)][:, columns.astype(int)] / cells**0.5
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


def encoded(frames: np.ndarray, crf: int = 23) -> bytes:
    """The frames as an H.264 mp4 with the index in front."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"  # moving the index to the front needs a file that can be read back
        _encode(frames, path, crf)
        return path.read_bytes()


def _encode(frames: np.ndarray, path: Path, crf: int) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())

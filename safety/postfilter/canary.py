"""Canary marks: harmless published test patterns, one per frame class, for trying the frame gates.

A mark is an 8×8 board of dark and bright cells over the whole picture. Which cells are bright is taken from
sha256("Backlot canary mark 1: <class> <nonce>"), with the first nonce that makes exactly half of them
bright. There is nothing secret and nothing bad in it; it does for frame gates what the EICAR file does for
virus scanners. A cell is an eighth of the picture in each direction, so a mark survives scaling, and at
64×64 it is one block of the video codec.
"""

import hashlib
from functools import cache

import numpy as np

VERSION = "1"
CLASSES = ("child_safety", "likeness", "intimate", "violence")

GRID = 8
POINTS = 8  # places looked at along each edge of a cell
DARK, BRIGHT = 24, 232
LEAST_AGREEMENT = 0.9  # of the 64 cells; by chance in unstructured light: fewer than 1 in 10^11
LEAST_CONTRAST = 0.25  # between the means of dark and bright cells, as a share of the full range
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@cache
def board(frame_class: str) -> np.ndarray:
    """The mark of a class: bool [8, 8], True where a cell is bright. KeyError for a class that has none."""
    if frame_class not in CLASSES:
        raise KeyError(f"there is no canary mark for {frame_class!r}")
    for nonce in range(1000):
        digest = hashlib.sha256(f"Backlot canary mark {VERSION}: {frame_class} {nonce}".encode()).digest()
        bits = np.unpackbits(np.frombuffer(digest[: GRID * GRID // 8], dtype=np.uint8))
        if bits.sum() == GRID * GRID // 2:
            return bits.reshape(GRID, GRID).astype(bool)
    raise AssertionError("a thousand digests without a balanced one: the hash function is broken")


def paint(frame: np.ndarray, frame_class: str) -> np.ndarray:
    """A copy of the frame (uint8 [height, width, 3]) with the mark of the class over the whole of it."""
    height, width = _size(frame)
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    light = np.where(board(frame_class)[rows][:, columns], BRIGHT, DARK).astype(np.uint8)
    return np.repeat(light[:, :, None], 3, axis=2)


def recognise(frame: np.ndarray, classes: tuple[str, ...] = CLASSES) -> dict[str, float]:
    """Per class the share of the 64 cells that are as its mark has them, or 0.0 where it isn't there.

    `frame` is uint8 RGB [height, width, 3], at least 8×8; anything smaller is a ValueError, never "no mark".
    """
    cells = _cells(frame)
    return {frame_class: _score(cells, board(frame_class)) for frame_class in classes}


def _score(cells: np.ndarray, bright: np.ndarray) -> float:
    light, dark = cells[bright].mean(), cells[~bright].mean()
    if (light - dark) / 255 < LEAST_CONTRAST:
        return 0.0
    agreement = float(((cells > (light + dark) / 2) == bright).mean())
    return agreement if agreement >= LEAST_AGREEMENT else 0.0


def _cells(frame: np.ndarray) -> np.ndarray:
    """The mean luma of each cell, float [8, 8], from 8×8 points of its inner half.

    The rims are left out, where codecs and scaling blur; the number of points keeps the cost the same at
    any size.
    """
    height, width = _size(frame)
    points = frame[np.ix_(_points(height), _points(width))].astype(np.float32) @ LUMA
    return points.reshape(GRID, POINTS, GRID, POINTS).mean(axis=(1, 3))


def _points(length: int) -> np.ndarray:
    """Where to look along an edge of `length` pixels: 8 places in the middle half of each of the 8 cells."""
    within = 0.25 + 0.5 * (np.arange(POINTS) + 0.5) / POINTS
    return ((np.arange(GRID)[:, None] + within) * length / GRID).astype(int).ravel()


def _size(frame: np.ndarray) -> tuple[int, int]:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame is uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}")
    height, width = frame.shape[:2]
    if height < GRID or width < GRID:
        raise ValueError(f"a frame of {width}×{height} is too small to be judged")
    return height, width

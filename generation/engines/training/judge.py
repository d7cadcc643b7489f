"""What a clip shows, read from its pixels alone: colour, shape, motion and background.

Objects are far more colourful than backgrounds (see `world`), so the object is where the chroma is high.
Its colour is the nearest of the eight, its shape the template that overlaps it best, its motion follows
from the track of its centre, and the background is the nearest of the eight outside it.
"""

from dataclasses import dataclass

import numpy as np

from generation.engines.training.world import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZE,
    Scene,
    render_background,
    shape_distance,
)

CHROMA_OF_OBJECTS = 108.0
# Fewer pixels than a third of the smallest object are no object.
SMALLEST_AREA = 60.0
SHARE_OF_FRAMES_WITH_OBJECT = 0.75
STILL_RANGE = 5.0


@dataclass(frozen=True)
class Verdict:
    """What was seen; "none" where there was nothing to judge. `overlap` is the best template's IoU, 0..1."""

    colour: str
    shape: str
    motion: str
    background: str
    overlap: float

    def matches(self, scene: Scene) -> dict[str, bool]:
        """Which of the four agree with the scene, and whether all do."""
        same = {
            key: getattr(self, key) == getattr(scene, key)
            for key in ("colour", "shape", "motion", "background")
        }
        return {**same, "all": all(same.values())}


def judge(clip: np.ndarray) -> Verdict:
    """Judge a clip (T, SIZE, SIZE, 3) uint8."""
    pictures = clip.astype(np.float32)
    masks = object_masks(pictures)
    areas = masks.sum(axis=(1, 2))
    present = areas >= SMALLEST_AREA
    background = _background(pictures, masks)
    if present.mean() < SHARE_OF_FRAMES_WITH_OBJECT:
        return Verdict("none", "none", "none", background, 0.0)
    centres = np.array([_centre(mask) for mask in masks[present]])
    shape, overlap = _shape(masks[present], centres)
    return Verdict(
        _colour(pictures[present], masks[present]),
        shape,
        _motion(np.flatnonzero(present), centres),
        background,
        overlap,
    )


def object_masks(pictures: np.ndarray) -> np.ndarray:
    """(T, H, W) of 0 or 1: where the colours are too strong for any background."""
    chroma = pictures.max(axis=-1) - pictures.min(axis=-1)
    return (chroma >= CHROMA_OF_OBJECTS).astype(np.float32)


def _centre(mask: np.ndarray) -> tuple[float, float]:
    """Mean x and y of the mask in pixels."""
    grid = np.arange(SIZE) + 0.5
    total = mask.sum()
    return float((mask.sum(axis=0) * grid).sum() / total), float((mask.sum(axis=1) * grid).sum() / total)


def _colour(pictures: np.ndarray, masks: np.ndarray) -> str:
    """Nearest named colour to the median of the object's pixels; edges hardly move a median."""
    seen = np.median(pictures[masks > 0], axis=0)
    return min(COLOURS, key=lambda name: float(np.linalg.norm(seen - np.array(COLOURS[name]))))


def _unit_area(shape: str) -> float:
    """Area of the shape of radius 1, measured on a fine grid."""
    axis = np.linspace(-1.5, 1.5, 600)
    dx, dy = np.meshgrid(axis, axis)
    return float((shape_distance(shape, dx, dy, 1.0) < 0).mean() * 9.0)


UNIT_AREA = {shape: _unit_area(shape) for shape in SHAPES}


def _shape(masks: np.ndarray, centres: np.ndarray) -> tuple[str, float]:
    """The shape whose template of equal area and centre has the largest mean IoU with the object."""
    scores = {shape: float(np.mean(_overlaps(shape, masks, centres))) for shape in SHAPES}
    best = max(scores, key=scores.__getitem__)
    return best, scores[best]


def _overlaps(shape: str, masks: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """IoU per frame of the masks and the template, which may be one size step off."""
    grid = np.arange(SIZE, dtype=np.float32) + 0.5
    dx = grid[None, None, :] - centres[:, 0, None, None]
    dy = grid[None, :, None] - centres[:, 1, None, None]
    dx, dy = np.broadcast_arrays(dx, dy)
    radius = np.sqrt(np.median(masks.sum(axis=(1, 2))) / UNIT_AREA[shape])
    best = np.zeros(len(masks))
    for factor in (0.95, 1.0, 1.06):
        template = np.clip(0.5 - shape_distance(shape, dx, dy, radius * factor), 0, 1)
        shared = np.minimum(masks, template).sum(axis=(1, 2))
        best = np.maximum(best, shared / np.maximum(masks, template).sum(axis=(1, 2)))
    return best


def _motion(moments: np.ndarray, centres: np.ndarray) -> str:
    """Left, right, up, down, bounce, circle or still, from the track of the centre."""
    x, y = centres[:, 0], centres[:, 1]
    range_x, range_y = np.ptp(x), np.ptp(y)
    if max(range_x, range_y) < STILL_RANGE:
        return "still"
    if range_x > 0.5 * range_y and range_y > 0.5 * range_x:
        return "circle" if _turned(x, y) else "diagonal"
    if range_x > range_y:
        return _direction(moments, x, "right", "left", "sway")
    return _direction(moments, y, "down", "up", "bounce")


def _direction(moments: np.ndarray, along: np.ndarray, forth: str, back: str, otherwise: str) -> str:
    """One way if place and time go together, else something that returns."""
    together = float(np.corrcoef(moments, along)[0, 1])
    if abs(together) < 0.85:
        return otherwise
    return forth if together > 0 else back


def _turned(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the track goes most of the way round its middle."""
    angle = np.unwrap(np.arctan2(y - (y.max() + y.min()) / 2, x - (x.max() + x.min()) / 2))
    return bool(np.ptp(angle) > 1.2 * np.pi)


def _background(pictures: np.ndarray, masks: np.ndarray) -> str:
    """Nearest background where there is no object, over a few heights of the horizon."""
    outside = 1.0 - masks
    weight = outside.sum(axis=0)
    picture = (pictures * outside[..., None]).sum(axis=0) / np.maximum(weight, 1.0)[..., None]

    def distance(name: str) -> float:
        reference = (render_background(name, horizon) for horizon in (0.57, 0.62, 0.67))
        return min(float((weight[..., None] * np.abs(picture - r)).mean()) for r in reference)

    return min(BACKGROUNDS, key=distance)

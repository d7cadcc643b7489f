"""Temporal coherence of clips: how well each frame follows from the last, and how far a set is from a reference.

numpy only. Where the features come from is `feature_net`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parent / "shipped" / "coherence_reference.json"
BLOCK, REACH = 8, 6  # pixels: of a block, and how far it may have moved since the last frame
LONGEST_SIDE = 128  # larger frames are thinned out first, so that the reach covers what really moves
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class NoReference(Exception):
    """There is no reference distribution for this feature network."""


@dataclass(frozen=True)
class Distribution:
    """Mean [d] and covariance [d, d] of the features of `count` clips."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int


def warp_error(clip: np.ndarray) -> float:
    """What is left of each frame after the last one is moved onto it block by block; 0..1, mean over the frames.

    `clip` is uint8 [frames, height, width, 3]. Each block of 8×8 is looked for within 6 pixels in the frame before
    (full search, least absolute difference), as a flow that is constant per block. A clip of one frame has none: 0.
    """
    light = _light(clip)
    if len(light) < 2:
        return 0.0
    return float(np.mean([_residual(before, after) for before, after in zip(light, light[1:], strict=False)]))


def distribution(features: np.ndarray) -> Distribution:
    """Of features [clips, d], at least two clips."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"a distribution needs the features of two clips, not {list(features.shape)}")
    return Distribution(features.mean(axis=0), np.cov(features, rowvar=False), len(features))


def frechet(first: Distribution, second: Distribution) -> float:
    """|m1-m2|² + tr(C1 + C2 - 2 (C1 C2)^½), Dowson and Landau 1982; never below 0.

    The root's trace is that of (C1^½ C2 C1^½)^½, which is symmetric, so its eigenvalues are real.
    """
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second.covariance @ root), 0, None)).sum()
    apart = float(((first.mean - second.mean) ** 2).sum())
    return max(0.0, apart + float(np.trace(first.covariance) + np.trace(second.covariance) - 2 * shared))


def distance(features: Sequence[Sequence[float]], network: str, path: Path = REFERENCE) -> float:
    """How far these clips are from the stored reference of this network; raises NoReference."""
    return frechet(distribution(np.asarray(features, float)), reference(network, path))


def reference(network: str, path: Path = REFERENCE) -> Distribution:
    """The stored reference; raises NoReference where there is none of this network."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if stored.get("network") != network:
        raise NoReference(f"no reference of the network {network}; make one with: manage.py evals reference")
    return Distribution(np.array(stored["mean"]), np.array(stored["covariance"]), int(stored["clips"]))


def store(found: Distribution, network: str, source: str, path: Path = REFERENCE) -> None:
    """Keep a reference, rounded so that a person can read the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "network": network,
        "source": source,
        "clips": found.count,
        "mean": [round(float(value), 6) for value in found.mean],
        "covariance": [[round(float(value), 8) for value in row] for row in found.covariance],
    }
    path.write_text(json.dumps(kept) + "\n", encoding="utf-8")


def _light(clip: np.ndarray) -> np.ndarray:
    every = max(1, -(-max(clip.shape[1:3]) // LONGEST_SIDE))
    thinned = clip[:, ::every, ::every].astype(np.float32) @ LUMA / 255
    height, width = (side // BLOCK * BLOCK for side in thinned.shape[1:3])
    if not height or not width:
        raise ValueError(f"frames of {clip.shape[2]}×{clip.shape[1]} are too small to be followed")
    return thinned[:, :height, :width]


def _residual(before: np.ndarray, after: np.ndarray) -> float:
    height, width = after.shape
    padded = np.pad(before, REACH, mode="edge")
    best = np.full((height // BLOCK, width // BLOCK), np.inf, np.float32)
    for down in range(2 * REACH + 1):
        for right in range(2 * REACH + 1):
            moved = padded[down : down + height, right : right + width]
            apart = np.abs(after - moved).reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
            np.minimum(best, apart.mean(axis=(1, 3)), out=best)
    return float(best.mean())

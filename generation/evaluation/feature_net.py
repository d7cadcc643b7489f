"""The network whose features say how much two sets of clips differ over time: small, 3D, made by `train_features`.

Another one is named by the setting EVALUATION_FEATURES, a dotted path to a function of the shape of `features`; its
reference distribution is made anew with `evals reference`. torch is imported when a clip is looked at.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).parent / "weights" / "coherence_features.safetensors"
FRAMES, SIZE = 16, 32  # what every clip is brought to before the network sees it
WIDTHS = (6, 16, 32, 48)
FEATURES = 32
BATCH = 16

Features = Callable[[Sequence[np.ndarray]], np.ndarray]


def features(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Features float64 [clips, FEATURES] of clips uint8 [frames, height, width, 3], of any size and length."""
    import torch

    body, found = _trained(), []
    with torch.inference_mode():
        for start in range(0, len(clips), BATCH):
            batch = torch.stack([prepared(clip) for clip in clips[start : start + BATCH]])
            found.append(body(batch).double().numpy())
    return np.concatenate(found) if found else np.empty((0, FEATURES))


def chosen() -> tuple[Features, str]:
    """The function of the settings, or the shipped one, and what names its figures."""
    path = settings.EVALUATION_FEATURES
    if path:
        return import_string(path), path
    return features, f"shipped {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12]}"


def prepared(clip: np.ndarray) -> "torch.Tensor":
    """float32 [6, FRAMES, SIZE, SIZE]: the picture, and what changed since the one before, both about -1..1."""
    import torch
    from torch.nn.functional import interpolate

    pictures = torch.from_numpy(np.ascontiguousarray(clip)).permute(3, 0, 1, 2).float().div(127.5).sub(1)
    # In space by area; in time the nearest frame, because averaged frames would hide what jumps.
    small = interpolate(pictures.transpose(0, 1), size=(SIZE, SIZE), mode="area")
    chosen_frames = torch.linspace(0, len(clip) - 1, FRAMES).round().long()
    moments = small[chosen_frames].transpose(0, 1)
    change = torch.zeros_like(moments)
    change[:, 1:] = moments[:, 1:] - moments[:, :-1]
    return torch.cat([moments, change])


def body() -> "torch.nn.Module":
    """The network from `prepared` clips to features, untrained."""
    from torch import nn

    layers: list[nn.Module] = []
    for before, after in zip(WIDTHS, WIDTHS[1:], strict=False):
        layers += [nn.Conv3d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.SiLU()]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * (FRAMES // 8) * (SIZE // 8) ** 2, FEATURES), nn.Tanh()
    )


@cache
def _trained() -> "torch.nn.Module":
    from safetensors.torch import load_file

    made = body()
    made.load_state_dict(load_file(WEIGHTS))
    return made.eval()

"""Which latent a clip needs: sizes and lengths that the model's grid does not hit are rounded up and cropped after."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generation.engines.errors import UnsupportedWork


@dataclass(frozen=True)
class Grid:
    """A model's steps in time, height and width: pixels and frames a latent cell stands for, cells a patch holds."""

    in_time: int
    in_space: int
    patch: tuple[int, int, int]
    longest: int

    @classmethod
    def of(cls, vae_config, transformer_config) -> "Grid":
        """The grid of a Wan VAE and transformer, from their configurations."""
        return cls(
            vae_config.scale_factor_temporal,
            vae_config.scale_factor_spatial,
            tuple(transformer_config.patch_size),
            transformer_config.rope_max_seq_len,
        )


def ltx_grid(vae_config, transformer_config) -> Grid:
    """The grid of an LTX-Video VAE and transformer, from their configurations. Its places are not limited."""
    halvings = 2 ** sum(vae_config["spatio_temporal_scaling"])
    return Grid(
        vae_config.get("temporal_compression_ratio") or vae_config["patch_size_t"] * halvings,
        vae_config.get("spatial_compression_ratio") or vae_config["patch_size"] * halvings,
        (
            transformer_config["patch_size_t"],
            transformer_config["patch_size"],
            transformer_config["patch_size"],
        ),
        longest=10**9,
    )


@dataclass(frozen=True)
class Shape:
    """What is denoised and decoded: pixels and frames, at least those asked for, and the latent's [t, h, w]."""

    width: int
    height: int
    frames: int
    latent: tuple[int, int, int]

    @property
    def patches(self) -> int:
        return self.latent[0] * self.latent[1] * self.latent[2]


def fit(
    width: int, height: int, frames: int, grid: Grid, ready: Sequence[tuple[int, int, int]] = ()
) -> Shape:
    """The smallest shape of the grid that holds what was asked for. Raises UnsupportedWork where none does.

    `ready` are the (width, height, frames) that compiled graphs exist for: then it is the smallest of these.
    """
    if min(width, height, frames) < 1:
        raise UnsupportedWork("A clip is at least one pixel wide and high, and has at least one frame.")
    shape = _round_up(width, height, frames, grid)
    if max(n // p for n, p in zip(shape.latent, grid.patch, strict=True)) > grid.longest:
        raise UnsupportedWork(f"{width}x{height}, {frames} frames is more than the model can place.")
    if not ready:
        return shape
    rounded = [_round_up(*other, grid) for other in ready]
    holding = [
        other for other in rounded if all(a >= b for a, b in zip(other.latent, shape.latent, strict=True))
    ]
    if not holding:
        raise UnsupportedWork(f"No compiled shape holds {width}x{height}, {frames} frames.")
    return min(holding, key=lambda other: other.patches)


def crop(frames: np.ndarray, width: int, height: int, count: int) -> np.ndarray:
    """[..., frames, height, width, 3] to the size asked for: the middle of the picture, the first of the frames."""
    top, left = (frames.shape[-3] - height) // 2, (frames.shape[-2] - width) // 2
    return frames[..., :count, top : top + height, left : left + width, :]


def _round_up(width: int, height: int, frames: int, grid: Grid) -> Shape:
    # The first frame has a latent of its own, each further latent stands for `in_time` frames.
    length = _up(-(-(frames - 1) // grid.in_time) + 1, grid.patch[0])
    rows = _up(-(-height // grid.in_space), grid.patch[1])
    columns = _up(-(-width // grid.in_space), grid.patch[2])
    return Shape(
        width=columns * grid.in_space,
        height=rows * grid.in_space,
        frames=(length - 1) * grid.in_time + 1,
        latent=(length, rows, columns),
    )


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple

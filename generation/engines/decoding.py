"""Latents to frames: the VAE with its lock and its tiles, and the cheap linear look."""

import threading

import numpy as np
import torch
import torch.nn.functional as F

from generation.engines.facts import ModelFacts
from generation.engines.options import EngineOptions
from generation.engines.shapes import Shape

# A linear look has a few pixels for each latent cell; more than this on the longer side would be padding.
LOOK_PIXELS = 512


class Decoder:
    """One VAE. It keeps its causal cache on itself, so only one clip is in it at a time."""

    def __init__(self, vae, facts: ModelFacts, options: EngineOptions) -> None:
        self._vae, self._facts, self._options = vae, facts, options
        self.lock = threading.Lock()

    def tile(self, width: int, height: int) -> None:
        """Let the next call work in tiles if frames are large, so that memory does not limit them. Needs the lock."""
        side = self._options.tile_pixels
        self._vae.use_slicing = self._vae.use_tiling = width * height > self._options.tile_above_pixels
        self._vae.tile_sample_min_height = self._vae.tile_sample_min_width = side
        self._vae.tile_sample_stride_height = self._vae.tile_sample_stride_width = side * 3 // 4

    def frames(self, latents: torch.Tensor, shape: Shape) -> np.ndarray:
        """Latents [b, channels, t, h, w] to uint8 [b, frames, height, width, 3], rounded as diffusers does."""
        vae = self._vae
        latents = latents.to(vae.dtype)
        mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
        scale = 1.0 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(
            latents.device, latents.dtype
        )
        with self.lock:
            self.tile(shape.width, shape.height)
            video = vae.decode(latents / scale + mean, return_dict=False)[0]
        return as_pixels((video * 0.5 + 0.5).permute(0, 2, 3, 4, 1))

    def look(self, clean: torch.Tensor, shape: Shape, places: list[int]) -> np.ndarray:
        """uint8 [k, h, w, 3]: the latent frames at `places` of [1, channels, t, h, w], each as a picture by itself."""
        stills = clean[0, :, places].transpose(0, 1)
        if self._facts.preview == "vae":
            return self.frames(stills.unsqueeze(2), shape)[:, 0]
        coefficients = torch.tensor(self._facts.preview_projection, dtype=torch.float32, device=clean.device)
        colours = torch.einsum("kchw,cr->krhw", stills.float(), coefficients[:-1])
        colours = colours + coefficients[-1].view(1, 3, 1, 1)
        shrink = min(1.0, LOOK_PIXELS / max(shape.width, shape.height))
        size = (round(shape.height * shrink), round(shape.width * shrink))
        return as_pixels(F.interpolate(colours, size, mode="bilinear").permute(0, 2, 3, 1))


def as_pixels(values: torch.Tensor) -> np.ndarray:
    """Values of 0 to 1 as uint8 on the host."""
    return (values.clamp(0, 1).float() * 255).round().to(torch.uint8).cpu().numpy()

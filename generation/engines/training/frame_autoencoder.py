"""Wan's autoencoder run frame by frame.

All taps of its causal convolutions that look into the past are zero, so a 3-D convolution over a clip
equals a 2-D convolution over each frame. Training and bulk encoding use the 2-D form (a third of the work,
any batch of frames); the shipped file is an ordinary AutoencoderKLWan that gives the same result through
its 3-D form.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify, unpatchify
from torch import nn

from generation.engines.training.architecture import SPATIAL_FACTOR


def _frame_convolution(
    self: WanCausalConv3d, x: torch.Tensor, cache_x: torch.Tensor | None = None
) -> torch.Tensor:
    """(N, C, 1, H, W) through the tap of the present frame only."""
    pad = (self._padding[2], self._padding[0])
    return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, padding=pad)[:, :, None]


def forget_the_past(autoencoder: AutoencoderKLWan) -> None:
    """Zero every tap that looks at an earlier frame."""
    with torch.no_grad():
        for module in autoencoder.modules():
            if isinstance(module, WanCausalConv3d):
                module.weight[:, :, :-1] = 0


class FrameAutoencoder(nn.Module):
    """The 2-D form of an AutoencoderKLWan; shares its parameters (and alters its convolutions' forward)."""

    def __init__(self, autoencoder: AutoencoderKLWan) -> None:
        super().__init__()
        forget_the_past(autoencoder)
        for module in autoencoder.modules():
            if isinstance(module, WanCausalConv3d):
                module.forward = MethodType(_frame_convolution, module)
        self.wan = autoencoder

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 3, 64, 64) in -1..1 to mean and log variance, each (N, C, 16, 16)."""
        patches = patchify(frames[:, :, None], patch_size=SPATIAL_FACTOR)
        moments = self.wan.quant_conv(self.wan.encoder(patches))[:, :, 0]
        mean, log_variance = moments.float().chunk(2, dim=1)
        return mean, log_variance.clamp(-20.0, 10.0)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """(N, C, 16, 16) to (N, 3, 64, 64), not clamped."""
        patches = self.wan.decoder(self.wan.post_quant_conv(latent[:, :, None]))
        return unpatchify(patches, patch_size=SPATIAL_FACTOR)[:, :, 0].float()

    def forward(self, frames: torch.Tensor, noise: torch.Tensor):
        """Reconstruction, mean and log variance with the latent drawn from `noise` (N, C, 16, 16)."""
        mean, log_variance = self.encode(frames)
        return self.decode(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance

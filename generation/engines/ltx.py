"""Clips by LTX-Video: the same loop as Wan's, with this family's text masks, tokens, times and VAE.

The loop does what `LTXPipeline.__call__` does (diffusers 0.42), so a clip equals the bare pipeline's bit for bit. Text
to video; a VAE that denoises once more while decoding (0.9.1 and later) does so at time 0, the pipeline's default.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import LTXPipeline
from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift

from generation.engines import loading, schedulers, shapes
from generation.engines.clips import ClipWork, Condition, DenoiseState
from generation.engines.decoding import Decoder, as_pixels
from generation.engines.errors import UnsupportedWork
from generation.engines.shapes import Shape
from generation.engines.video import VideoEngine


def engine_for(folder: Path) -> type[VideoEngine]:
    """The engine that runs a folder's pipeline. Raises ModelUnavailable or UnsupportedModel where none does."""
    return LtxEngine if loading.class_of(folder).__name__ == loading.LTX else VideoEngine


class TextOnly:
    """What `Conditioner` is to Wan, for a model that begins from nothing but text."""

    takes_image = needs_image = False

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def check(self, work: ClipWork) -> None:
        """Raises UnsupportedWork where a picture is given."""
        if work.image is not None:
            raise UnsupportedWork("The model makes clips from text alone; leave the picture out.")

    def condition(self, work: ClipWork, shape: Shape, latents: torch.Tensor) -> Condition | None:
        return None


class LtxDecoder(Decoder):
    """LTX-Video's VAE: its own scale, and a time where it denoises once more."""

    def frames(self, latents: torch.Tensor, shape: Shape) -> np.ndarray:
        """Latents [b, channels, t, h, w] to uint8 [b, frames, height, width, 3], rounded as diffusers does."""
        vae = self._vae
        latents = LTXPipeline._denormalize_latents(
            latents, vae.latents_mean, vae.latents_std, vae.config.scaling_factor
        ).to(vae.dtype)
        time = torch.zeros(len(latents), device=latents.device, dtype=latents.dtype)
        with self.lock:
            self.tile(shape.width, shape.height)
            video = vae.decode(
                latents, time if vae.config.timestep_conditioning else None, return_dict=False
            )[0]
        return as_pixels((video * 0.5 + 0.5).permute(0, 2, 3, 4, 1))


class LtxEngine(VideoEngine):
    """One loaded LTX-Video model; see `VideoEngine`. The latent lies as [1, channels, t, h, w], as Wan's does."""

    least_steps = 2  # its scheduler stretches the way from the first step to the last

    def _set_up(self, scheduler: str | None) -> None:
        transformer, vae = self.pipeline.transformer, self.pipeline.vae
        self._template = schedulers.choose_own(self.pipeline.scheduler, scheduler)
        self._grid = shapes.ltx_grid(vae.config, transformer.config)
        self._conditioner = TextOnly(vae.config.latent_channels)
        self._decoder = LtxDecoder(vae, self.facts, self.options)
        self._cache = None

    def _encoded(self, work: ClipWork) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        prompt, mask, negative, negative_mask = self.pipeline.encode_prompt(
            prompt=work.prompt,
            negative_prompt=work.negative_prompt,
            do_classifier_free_guidance=work.guidance > 1.0,
            max_sequence_length=self.facts.max_sequence_length,
            device=self.device,
        )
        return prompt, negative, mask if negative is None else torch.cat([negative_mask, mask])

    def _fresh_scheduler(self, shape: Shape, steps: int) -> schedulers.SchedulerMixin:
        """Sigmas from 1 down, shifted by the number of latent cells, as the pipeline does."""
        own = self._template.config
        if not own.use_dynamic_shifting:
            return schedulers.fresh(self._template, steps, self.device, sigmas=_sigmas(steps))
        shift = calculate_shift(
            shape.patches,
            own.get("base_image_seq_len", 256),
            own.get("max_image_seq_len", 4096),
            own.get("base_shift", 0.5),
            own.get("max_shift", 1.15),
        )
        return schedulers.fresh(self._template, steps, self.device, sigmas=_sigmas(steps), mu=shift)

    def _predict(self, state: DenoiseState, timestep: torch.Tensor) -> torch.Tensor:
        """Both texts in one batch, as the pipeline does: apart they would round otherwise."""
        text = state.prompt if state.negative is None else torch.cat([state.negative, state.prompt])
        transformer = self.pipeline.transformer
        patch = (transformer.config.patch_size, transformer.config.patch_size_t)
        tokens = LTXPipeline._pack_latents(state.latents, *patch)
        # One text alone is shown the latent as it lies in memory, as there: a copy would go through another kernel.
        shown = (tokens if state.negative is None else torch.cat([tokens] * 2)).to(text.dtype)
        length, rows, columns = state.shape.latent
        with transformer.cache_context("cond_uncond"):
            prediction = transformer(
                hidden_states=shown,
                encoder_hidden_states=text,
                timestep=timestep.expand(len(text)),
                encoder_attention_mask=state.masks,
                num_frames=length,
                height=rows,
                width=columns,
                rope_interpolation_scale=(
                    self._grid.in_time / self.facts.fps,
                    self._grid.in_space,
                    self._grid.in_space,
                ),
                return_dict=False,
            )[0].float()
        if state.negative is not None:
            unguided, guided = prediction.chunk(2)
            prediction = unguided + state.work.guidance * (guided - unguided)
        return LTXPipeline._unpack_latents(prediction, length, rows, columns, *patch)


def _sigmas(steps: int) -> np.ndarray:
    return np.linspace(1.0, 1 / steps, steps)

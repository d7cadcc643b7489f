"""Beginning a clip from a picture, and the time that each token stands at: what differs between the Wan pipelines.

The condition itself is diffusers' own doing (`WanImageToVideoPipeline.prepare_latents`), so it is theirs bit for bit.
"""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from PIL import Image

from generation.engines.clips import ClipWork, Condition
from generation.engines.errors import UnsupportedWork
from generation.engines.shapes import Shape


class Conditioner:
    """Says whether a model begins from a picture, and makes the condition.

    Three kinds: text only; the picture's latent and a mask beside the noise as more channels (Wan 2.1 and 2.2 image
    to video, with or without CLIP's view of it); the picture's latent in the place of the first one, held at time 0
    (Wan 2.2 TI2V, which does without a picture too).
    """

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        self._transformer = pipeline.transformer
        self._vae = pipeline.vae
        self.time_per_token = bool(pipeline.config.expand_timesteps)
        self._maker = _maker(pipeline)
        self.needs_image = _begins_from_a_picture(pipeline) and not self.time_per_token

    @property
    def takes_image(self) -> bool:
        return self._maker is not None

    @property
    def channels(self) -> int:
        """Of the latent that is denoised, without those of the condition."""
        return self._vae.config.z_dim if self.needs_image else self._transformer.config.in_channels

    def check(self, work: ClipWork) -> None:
        """Raises UnsupportedWork where a picture is missing, not wanted, or no picture."""
        if work.image is None:
            if self.needs_image:
                raise UnsupportedWork("The model makes clips from a picture; give one.")
            return
        if not self.takes_image:
            raise UnsupportedWork("The model makes clips from text alone; leave the picture out.")
        if work.image.dtype != np.uint8 or work.image.ndim != 3 or work.image.shape[2] != 3:
            raise UnsupportedWork(
                f"A picture is uint8 [height, width, 3]; this is {work.image.dtype} {work.image.shape}."
            )

    def condition(self, work: ClipWork, shape: Shape, latents: torch.Tensor) -> Condition | None:
        """The condition for latents of this shape, which are not changed. Call it with the VAE to yourself."""
        if work.image is None:
            return None
        picture = Image.fromarray(work.image)
        pixels = self._maker.video_processor.preprocess(picture, height=work.height, width=work.width)
        pixels = _widen(pixels, shape).to(latents.device, torch.float32)
        made = self._maker.prepare_latents(
            pixels,
            1,
            self._vae.config.z_dim,
            shape.height,
            shape.width,
            shape.frames,
            torch.float32,
            latents.device,
            None,
            latents,
        )
        embeds = None
        if self._transformer.config.image_dim is not None:
            embeds = self._maker.encode_image(picture, latents.device).to(self._transformer.dtype)
        return Condition(made[1], made[2] if self.time_per_token else None, embeds)

    def model_input(self, latents: torch.Tensor, condition: Condition | None) -> torch.Tensor:
        """What the transformer is shown of the latents, in its own precision."""
        if condition is None:
            shown = latents
        elif condition.held is None:
            shown = torch.cat([latents, condition.latent], dim=1)
        else:
            shown = with_first_frame(latents, condition)
        return shown.to(self._transformer.dtype)

    def times(
        self, timestep: torch.Tensor, latents: torch.Tensor, condition: Condition | None
    ) -> torch.Tensor:
        """The step's time for the transformer: one [batch], or one for each token [batch, tokens]."""
        if not self.time_per_token:
            return timestep.expand(latents.shape[0])
        held = torch.ones_like(latents[:, :1]) if condition is None else condition.held
        _, rows, columns = self._transformer.config.patch_size
        by_token = (held[0][0][:, ::rows, ::columns] * timestep).flatten()
        return by_token.unsqueeze(0).expand(latents.shape[0], -1)


def with_first_frame(latents: torch.Tensor, condition: Condition | None) -> torch.Tensor:
    """The latents with the picture's in its place, where the model holds it; otherwise as they are."""
    if condition is None or condition.held is None:
        return latents
    return (1 - condition.held) * condition.latent + condition.held * latents


def _begins_from_a_picture(pipeline: DiffusionPipeline) -> bool:
    return type(pipeline).__name__ == "WanImageToVideoPipeline"


def _maker(pipeline: DiffusionPipeline) -> DiffusionPipeline | None:
    """The diffusers pipeline that makes conditions; a text pipeline with a time per token is one of the same parts."""
    if _begins_from_a_picture(pipeline):
        return pipeline
    if not pipeline.config.expand_timesteps:
        return None
    from diffusers import WanImageToVideoPipeline  # brings CLIP along, which most models do without

    parts = {
        name: getattr(pipeline, name)
        for name in ("tokenizer", "text_encoder", "vae", "scheduler", "transformer")
    }
    return WanImageToVideoPipeline(**parts, expand_timesteps=True)


def _widen(pixels: torch.Tensor, shape: Shape) -> torch.Tensor:
    """[1, 3, h, w] in the middle of the canvas that is denoised, where the clip is cut out later; the edge goes on."""
    above, beside = shape.height - pixels.shape[2], shape.width - pixels.shape[3]
    if not above and not beside:
        return pixels
    left, top = beside // 2, above // 2
    return F.pad(pixels, (left, beside - left, top, above - top), mode="replicate")

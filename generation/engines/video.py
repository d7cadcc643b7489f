"""Clips by denoising: a diffusers Wan folder, run step by step by our own loop.

The loop does exactly what `WanPipeline.__call__` does (diffusers 0.42), so a clip equals the bare pipeline's bit for
bit, but every step is ours: it can be counted, checkpointed, looked at and stopped.
"""

import contextlib
import resource
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from diffusers import WanPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from generation.engines import facts, schedulers
from generation.engines.errors import (
    CheckpointMismatch,
    ModelUnavailable,
    StepBudgetSpent,
    UnsupportedModel,
    UnsupportedWork,
)
from generation.engines.finiteness import FinitenessGuard

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
# Above this many pixels a frame is decoded in tiles, so that the VAE's memory does not decide what can be made.
TILE_ABOVE_PIXELS = 1280 * 720


@dataclass(frozen=True)
class ClipWork:
    """One clip to make, sizes in pixels. At a `guidance` of 1 or less the negative prompt is not used."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    frames: int
    steps: int
    guidance: float
    seed: int


class Snapshot(NamedTuple):
    """What a checkpoint must hold: tensors on the host by name, and values that JSON can carry."""

    tensors: dict[str, torch.Tensor]
    values: dict


class Resumable(Protocol):
    """A `Snapshot`, or a checkpoint read back from storage."""

    tensors: Mapping[str, torch.Tensor]
    values: Mapping


@dataclass
class DenoiseState:
    """A clip between two steps. `index` steps have run; the rest belongs to the engine."""

    work: ClipWork
    index: int
    latents: torch.Tensor
    scheduler: schedulers.SchedulerMixin
    sigmas: list[float]
    prompt: torch.Tensor
    negative: torch.Tensor | None
    generator: torch.Generator
    threads: int
    guard: FinitenessGuard = field(default_factory=FinitenessGuard)
    before: torch.Tensor | None = None
    prediction: torch.Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether the whole step budget has run."""
        return self.index >= self.work.steps


class VideoEngine:
    """One loaded model. Several clips may be under way at once: each has its own state, and the VAE is locked.

    `threads` are torch's inside one operation; results are bit-identical only for the same number, so a resumed clip
    keeps the number it was started with. The default is 1 on a CPU: two threads on cores that others use too wait for
    each other at every operation and were ten times slower.
    """

    def __init__(
        self,
        folder: Path,
        revision: str,
        device: str = "cpu",
        dtype: str = "bf16",
        threads: int | None = None,
        scheduler: str | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise UnsupportedModel(f"There is no precision {dtype}; choose {' or '.join(DTYPES)}.")
        self.folder = folder
        self.revision = revision
        self.device = torch.device(device)
        self.dtype = dtype
        self.threads = threads or 1
        self.facts = facts.read(folder)
        self._vae_lock = threading.Lock()
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        self.pipeline = _load(folder, DTYPES[dtype]).to(self.device)
        self._template = schedulers.choose(self.pipeline.scheduler, scheduler)

    @property
    def scheduler(self) -> str:
        """The scheduler's class name, as checkpoints record it."""
        return type(self._template).__name__

    @property
    def device_name(self) -> str:
        """The machine's part that denoises, in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"cpu ({torch.backends.cpu.get_cpu_capability()})"

    @property
    def peak_memory_bytes(self) -> int:
        """On a GPU the most allocated since the last `start` or `resume`; on a CPU the process's most ever."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def start(self, work: ClipWork) -> DenoiseState:
        """Encode the prompt and draw the first noise. Raises UnsupportedWork for a shape the model cannot make."""
        state = self._prepare(work, self.threads)
        # Drawn on the CPU whatever the device, as the pipeline does with a CPU generator: one seed, one noise.
        noise = torch.randn(self._latent_shape(work), generator=state.generator, dtype=torch.float32)
        state.latents = noise.to(self.device)
        return state

    def resume(self, work: ClipWork, checkpoint: Resumable) -> DenoiseState:
        """Stand where `snapshot` stood. Raises CheckpointMismatch if it was another model, precision or shape."""
        values = checkpoint.values
        self._match(work, values, checkpoint.tensors)
        state = self._prepare(work, values["threads"])
        # Cloned so that they lie aligned in memory as fresh ones do, not where a file's header put them.
        tensors = {name: tensor.clone().to(self.device) for name, tensor in checkpoint.tensors.items()}
        state.index = values["index"]
        state.latents = tensors["latents"]
        state.generator.set_state(tensors["generator"].cpu())
        schedulers.restore(state.scheduler, state.index, tensors, values["scheduler_state"])
        return state

    def step(self, state: DenoiseState) -> None:
        """Run one denoising step. On a GPU it is queued; `finite` and `decode` wait for it."""
        if state.done:
            raise StepBudgetSpent(f"All {state.work.steps} steps have run.")
        with self._computing(state.threads):
            timestep = state.scheduler.timesteps[state.index]
            prediction = self._predict(state, timestep)
            state.before, state.prediction = state.latents, prediction
            state.latents = state.scheduler.step(prediction, timestep, state.latents, return_dict=False)[0]
            state.guard.observe(state.latents)
        state.index += 1

    def finite(self, state: DenoiseState) -> bool:
        """False once a step's latent held a NaN or an infinity. On a GPU one step late, except at the end."""
        return state.guard.finite(to_the_end=state.done)

    def preview(self, state: DenoiseState, frames: int = 4) -> np.ndarray:
        """uint8 [k, height, width, 3]: the clip as the last step foresaw it, at `frames` places at most.

        Each latent frame goes through the VAE by itself, as a clip of one frame. Needs a step in this process first.
        """
        if state.before is None:
            raise UnsupportedWork("No step has run yet in this process, so there is nothing to look at.")
        with self._computing(state.threads):
            clean = schedulers.clean_latent(state.scheduler, state.index - 1, state.before, state.prediction)
            length = clean.shape[2]
            places = np.linspace(0, length - 1, min(frames, length)).round().astype(int).tolist()
            stills = clean[0, :, places].transpose(0, 1).unsqueeze(2)
            return self._frames(stills, state.work)[:, 0]

    def decode(self, state: DenoiseState) -> np.ndarray:
        """uint8 [frames, height, width, 3] of a clip whose every step has run. May run beside another clip's steps."""
        if not state.done:
            raise UnsupportedWork(
                f"{state.index} of {state.work.steps} steps have run; the clip is not done."
            )
        with self._computing(state.threads):
            return self._frames(state.latents, state.work)[0]

    def snapshot(self, state: DenoiseState) -> Snapshot:
        """Everything `resume` needs, copied to the host. Waits for the last step on a GPU."""
        carried, scheduler_state = schedulers.snapshot(state.scheduler)
        tensors = {"latents": state.latents, "generator": state.generator.get_state(), **carried}
        values = {
            "index": state.index,
            "steps": state.work.steps,
            "model_revision": self.revision,
            "scheduler": self.scheduler,
            "scheduler_state": scheduler_state,
            "dtype": self.dtype,
            "threads": state.threads,
            "device": self.device_name,
        }
        return Snapshot({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, values)

    def _prepare(self, work: ClipWork, threads: int) -> DenoiseState:
        self._check(work)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        with self._computing(threads):
            prompt, negative = self.pipeline.encode_prompt(
                prompt=work.prompt,
                negative_prompt=work.negative_prompt,
                do_classifier_free_guidance=work.guidance > 1.0,
                max_sequence_length=self.facts.max_sequence_length,
                device=self.device,
            )
            scheduler = schedulers.fresh(self._template, work.steps, self.device)
        transformer_dtype = self.pipeline.transformer.dtype
        return DenoiseState(
            work=work,
            index=0,
            latents=torch.empty(0),
            scheduler=scheduler,
            # Read once: reading a sigma at every step would make a GPU wait.
            sigmas=scheduler.sigmas.tolist(),
            prompt=prompt.to(transformer_dtype),
            negative=None if negative is None else negative.to(transformer_dtype),
            generator=torch.Generator("cpu").manual_seed(work.seed),
            threads=threads,
        )

    def _predict(self, state: DenoiseState, timestep: torch.Tensor) -> torch.Tensor:
        """The model's output for one step, guided away from the negative prompt as in classifier-free guidance."""
        latents = state.latents.to(self.pipeline.transformer.dtype)
        timestep = timestep.expand(latents.shape[0])
        prediction = self._forward("cond", state, latents, timestep, state.prompt)
        if state.negative is not None:
            unguided = self._forward("uncond", state, latents, timestep, state.negative)
            prediction = unguided + state.work.guidance * (prediction - unguided)
        return prediction

    def _forward(
        self,
        name: str,
        state: DenoiseState,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        text: torch.Tensor,
    ) -> torch.Tensor:
        transformer = self.pipeline.transformer
        place = {
            "step_index": state.index,
            "sigma": state.sigmas[state.index],
            "num_inference_steps": state.work.steps,
        }
        with transformer.cache_context(name, **place):
            return transformer(
                hidden_states=latents, timestep=timestep, encoder_hidden_states=text, return_dict=False
            )[0]

    def _frames(self, latents: torch.Tensor, work: ClipWork) -> np.ndarray:
        """Latents [b, channels, t, h, w] to uint8 [b, frames, height, width, 3], rounded as diffusers does."""
        vae = self.pipeline.vae
        latents = latents.to(vae.dtype)
        mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
        scale = 1.0 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(
            latents.device, latents.dtype
        )
        # The VAE keeps its causal cache on itself, so two clips must not be in it together.
        with self._vae_lock:
            vae.use_tiling = work.width * work.height > TILE_ABOVE_PIXELS
            video = vae.decode(latents / scale + mean, return_dict=False)[0]
        video = (video * 0.5 + 0.5).clamp(0, 1)
        return (video.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()

    def _latent_shape(self, work: ClipWork) -> tuple[int, int, int, int, int]:
        config = self.pipeline.vae.config
        return (
            1,
            self.pipeline.transformer.config.in_channels,
            (work.frames - 1) // config.scale_factor_temporal + 1,
            work.height // config.scale_factor_spatial,
            work.width // config.scale_factor_spatial,
        )

    def _check(self, work: ClipWork) -> None:
        if work.steps < 1 or work.frames < 1:
            raise UnsupportedWork("A clip has at least one step and one frame.")
        vae, transformer = self.pipeline.vae.config, self.pipeline.transformer.config
        in_time, in_height, in_width = transformer.patch_size
        factor = vae.scale_factor_spatial
        if (
            work.height % (factor * in_height)
            or work.width % (factor * in_width)
            or min(work.height, work.width) < 1
        ):
            raise UnsupportedWork(
                f"{work.width}x{work.height} is not a multiple of {factor * in_width}x{factor * in_height}."
            )
        _, _, length, height, width = self._latent_shape(work)
        if (length - 1) * vae.scale_factor_temporal + 1 != work.frames or length % in_time:
            raise UnsupportedWork(f"The model cannot make exactly {work.frames} frames.")
        if max(length // in_time, height // in_height, width // in_width) > transformer.rope_max_seq_len:
            raise UnsupportedWork(
                f"{work.width}x{work.height}, {work.frames} frames is more than the model can place."
            )

    def _match(self, work: ClipWork, values: Mapping, tensors: Mapping[str, torch.Tensor]) -> None:
        ours = {
            "model_revision": self.revision,
            "scheduler": self.scheduler,
            "dtype": self.dtype,
            "steps": work.steps,
        }
        for name, value in ours.items():
            if values.get(name) != value:
                raise CheckpointMismatch(
                    f"The checkpoint's {name} is {values.get(name)!r}, here it is {value!r}."
                )
        shape = tuple(tensors["latents"].shape)
        if shape != self._latent_shape(work):
            raise CheckpointMismatch(
                f"The checkpoint's latent is {shape}, the work's {self._latent_shape(work)}."
            )

    @contextlib.contextmanager
    def _computing(self, threads: int) -> Iterator[None]:
        """No gradients, and the clip's own number of threads: torch keeps both per thread of the process."""
        torch.set_num_threads(threads)
        with torch.inference_mode():
            yield


def _load(folder: Path, dtype: torch.dtype) -> WanPipeline:
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    if not (folder / "model_index.json").is_file():
        raise ModelUnavailable(f"{folder} is not a diffusers folder: it has no model_index.json.")
    config = WanPipeline.load_config(str(folder), local_files_only=True)
    if config.get("_class_name") != "WanPipeline":
        raise UnsupportedModel(f"{folder} holds a {config.get('_class_name')}, not a WanPipeline.")
    if config.get("boundary_ratio") is not None or config.get("expand_timesteps"):
        raise UnsupportedModel(
            f"{folder} needs two transformers or a time per token, which this engine does not run."
        )
    try:
        # `dtype` at load, not `.to(bf16)`: Wan keeps its norms and time embedding in fp32.
        return WanPipeline.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{folder} cannot be loaded: {error}") from error

"""Clips by denoising: a diffusers Wan folder, run step by step by our own loop.

The loop does exactly what `WanPipeline.__call__` and `WanImageToVideoPipeline.__call__` do (diffusers 0.42), so without
options a clip equals the bare pipeline's bit for bit, but every step is ours: it can be counted, checkpointed, looked
at and stopped.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from generation.engines import facts, loading, memory, schedulers, shapes
from generation.engines.clips import ClipWork, Condition, DenoiseState, Resumable, Snapshot
from generation.engines.conditioning import Conditioner, with_first_frame
from generation.engines.decoding import Decoder
from generation.engines.errors import (
    CheckpointMismatch,
    ModelUnavailable,
    StepBudgetSpent,
    UnsupportedWork,
)
from generation.engines.options import EngineOptions
from generation.engines.options import read as read_options
from generation.engines.step_cache import StepCache

__all__ = ["ClipWork", "DenoiseState", "Resumable", "Snapshot", "VideoEngine"]

# What refuses to compile a graph: torch's own classes, and a limit on graphs that has none in common with them.
COMPILING_FAILED = (torch._dynamo.exc.TorchDynamoException, torch._dynamo.exc.FailOnRecompileLimitHit)


class VideoEngine:
    """One loaded model. Several clips may be under way at once: each has its own state, and the VAE is locked.

    `dtype` is bf16, fp32, int8 or fp8. `threads` are torch's inside one operation; results are bit-identical only for
    the same number, so a resumed clip keeps the number it was started with. The default is 1 on a CPU: two threads on
    cores that others use too wait for each other at every operation and were ten times slower. `options` are those of
    the folder's facts where none are given. Raises ModelUnavailable or UnsupportedModel that says why.
    """

    least_steps = 1

    def __init__(
        self,
        folder: Path,
        revision: str,
        device: str = "cpu",
        dtype: str = "bf16",
        threads: int | None = None,
        scheduler: str | None = None,
        options: EngineOptions | None = None,
    ) -> None:
        self.folder = folder
        self.revision = revision
        self.device = torch.device(device)
        self.dtype = dtype
        self.threads = threads or 1
        self.facts = facts.read(folder)
        self.options = options or read_options(self.facts.options)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        torch.set_num_threads(self.threads)
        self.pipeline = loading.load(folder, dtype, self.device, self.facts, self.options)
        self._set_up(scheduler)
        self._decode_s_per_megapixel = self.facts.decode_s_per_megapixel

    def _set_up(self, scheduler: str | None) -> None:
        """The parts that know this family of models; ltx.py has another's."""
        transformer = self.pipeline.transformer
        self._template = schedulers.choose(self.pipeline.scheduler, scheduler)
        self._grid = shapes.Grid.of(self.pipeline.vae.config, transformer.config)
        self._conditioner = Conditioner(self.pipeline)
        self._decoder = Decoder(self.pipeline.vae, self.facts, self.options)
        self._cache = StepCache(transformer, self.options) if self.options.step_cache else None

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
    def image_to_video(self) -> bool:
        """Whether a clip may begin from a picture."""
        return self._conditioner.takes_image

    @property
    def needs_image(self) -> bool:
        """Whether a clip must begin from a picture."""
        return self._conditioner.needs_image

    @property
    def peak_memory_bytes(self) -> int:
        """The most in use since the last `start` or `resume`; `DenoiseState.peak_memory_bytes` is a clip's own."""
        return memory.peak_bytes(self.device)

    def warm_up(self) -> float:
        """One step, a look and a decode, before anybody waits for them; with `compile` a step of every shape offered.

        Returns the seconds it took. Measures how long decoding takes where the facts don't say.
        """
        began = time.perf_counter()
        offered = self.facts.shapes if self.options.compile else self.facts.shapes[:1]
        image = None
        if self.needs_image:
            image = np.full((self.facts.height, self.facts.width, 3), 128, np.uint8)
        state = None
        for width, height, frames in reversed(offered):
            steps = self.least_steps
            work = ClipWork(
                "warm up", "", width, height, frames, steps, self.facts.guidance, seed=0, image=image
            )
            try:
                state = self.start(work)
                for _ in range(steps):
                    self.step(state)
                self.finite(state)
            except COMPILING_FAILED as error:
                raise ModelUnavailable(f"{self.folder.name} cannot be compiled here: {error}") from error
        self.preview(state)
        decoding = time.perf_counter()
        self.decode(state)
        if self._decode_s_per_megapixel is None:
            pixels = state.shape.width * state.shape.height * state.shape.frames
            self._decode_s_per_megapixel = (time.perf_counter() - decoding) * 1e6 / pixels
        return time.perf_counter() - began

    def decode_estimate_s(self, work: ClipWork) -> float | None:
        """Seconds budgeted for decoding the clip: as the facts say, else as measured by `warm_up`, else None."""
        if self._decode_s_per_megapixel is None:
            return None
        shape = self.shape_of(work)
        return facts.decode_estimate_s(self._decode_s_per_megapixel, shape.width, shape.height, shape.frames)

    def start(self, work: ClipWork) -> DenoiseState:
        """Encode the prompt and draw the first noise. Raises UnsupportedWork for what the model cannot make."""
        state = self._prepare(work, self.threads)
        # Drawn on the CPU whatever the device, as the pipeline does with a CPU generator: one seed, one noise.
        noise = torch.randn(self._latent_shape(state.shape), generator=state.generator, dtype=torch.float32)
        state.latents = noise.to(self.device)
        state.condition = self._condition(state)
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
        state.condition = self._condition(state)
        if self._cache:
            state.step_cache = self._cache.restore(tensors)
        return state

    def step(self, state: DenoiseState) -> None:
        """Run one denoising step. On a GPU it is queued; `finite` and `decode` wait for it."""
        if state.done:
            raise StepBudgetSpent(f"All {state.work.steps} steps have run.")
        with self._computing(state.threads), self._cached(state):
            timestep = state.scheduler.timesteps[state.index]
            prediction = self._predict(state, timestep)
            state.before, state.prediction = state.latents, prediction
            state.latents = state.scheduler.step(prediction, timestep, state.latents, return_dict=False)[0]
            state.guard.observe(state.latents)
        state.index += 1
        self._note_memory(state)

    def finite(self, state: DenoiseState) -> bool:
        """False once a step's latent held a NaN or an infinity. On a GPU one step late, except at the end."""
        return state.guard.finite(to_the_end=state.done)

    def preview(self, state: DenoiseState, frames: int = 4) -> np.ndarray:
        """uint8 [k, h, w, 3]: the clip as the last step foresaw it, at `frames` places at most.

        Through the VAE each latent frame goes by itself, as a clip of one frame, at the clip's size; the linear look is
        at most 512 pixels on its longer side. Needs a step in this process first.
        """
        if state.before is None:
            raise UnsupportedWork("No step has run yet in this process, so there is nothing to look at.")
        with self._computing(state.threads):
            clean = schedulers.clean_latent(state.scheduler, state.index - 1, state.before, state.prediction)
            clean = with_first_frame(clean, state.condition)
            length = clean.shape[2]
            places = np.linspace(0, length - 1, min(frames, length)).round().astype(int).tolist()
            seen = self._decoder.look(clean, state.shape, places)
        self._note_memory(state)
        scale = seen.shape[2] / state.shape.width
        return shapes.crop(seen, round(state.work.width * scale), round(state.work.height * scale), len(seen))

    def decode(self, state: DenoiseState) -> np.ndarray:
        """uint8 [frames, height, width, 3] of a clip whose every step has run. May run beside another clip's steps."""
        whole = self.decode_whole(state)
        return shapes.crop(whole, state.work.width, state.work.height, state.work.frames)

    def decode_whole(self, state: DenoiseState) -> np.ndarray:
        """As `decode`, with what the model's grid needed beyond the size and length asked for."""
        if not state.done:
            raise UnsupportedWork(
                f"{state.index} of {state.work.steps} steps have run; the clip is not done."
            )
        with self._computing(state.threads):
            latents = with_first_frame(state.latents, state.condition)
            decoded = self._decoder.frames(latents, state.shape)[0]
        if self.options.offload:
            self.pipeline.maybe_free_model_hooks()
        self._note_memory(state)
        return decoded

    def snapshot(self, state: DenoiseState) -> Snapshot:
        """Everything `resume` needs, copied to the host. Waits for the last step on a GPU."""
        carried, scheduler_state = schedulers.snapshot(state.scheduler)
        tensors = {"latents": state.latents, "generator": state.generator.get_state(), **carried}
        if self._cache:
            tensors |= self._cache.snapshot(state.step_cache, state.index)
        values = {
            **self._identity(state.work),
            "index": state.index,
            "scheduler_state": scheduler_state,
            "threads": state.threads,
            "device": self.device_name,
        }
        return Snapshot({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, values)

    def _identity(self, work: ClipWork) -> dict:
        """What must be the same here as where a checkpoint was made."""
        return {
            "model_revision": self.revision,
            "scheduler": self.scheduler,
            "dtype": self.dtype,
            "steps": work.steps,
            "options": self.options.identity,
            "image": work.image_digest,
        }

    def _prepare(self, work: ClipWork, threads: int) -> DenoiseState:
        if work.steps < self.least_steps:
            least = "one step" if self.least_steps == 1 else f"{self.least_steps} steps"
            raise UnsupportedWork(f"A clip of this model has at least {least}.")
        shape = self.shape_of(work)
        self._conditioner.check(work)
        memory.forget_peak(self.device)
        with self._computing(threads):
            prompt, negative, masks = self._encoded(work)
            scheduler = self._fresh_scheduler(shape, work.steps)
        transformer_dtype = self.pipeline.transformer.dtype
        return DenoiseState(
            work=work,
            shape=shape,
            index=0,
            latents=torch.empty(0),
            scheduler=scheduler,
            # Read once: reading a sigma at every step would make a GPU wait.
            sigmas=scheduler.sigmas.tolist(),
            prompt=prompt.to(transformer_dtype),
            negative=None if negative is None else negative.to(transformer_dtype),
            generator=torch.Generator("cpu").manual_seed(work.seed),
            threads=threads,
            masks=masks,
        )

    def _encoded(self, work: ClipWork) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """The prompt and the negative one for the transformer, and where their texts end if it wants to know."""
        prompt, negative = self.pipeline.encode_prompt(
            prompt=work.prompt,
            negative_prompt=work.negative_prompt,
            do_classifier_free_guidance=work.guidance > 1.0,
            max_sequence_length=self.facts.max_sequence_length,
            device=self.device,
        )
        return prompt, negative, None

    def _fresh_scheduler(self, shape: shapes.Shape, steps: int) -> schedulers.SchedulerMixin:
        return schedulers.fresh(self._template, steps, self.device)

    def _condition(self, state: DenoiseState) -> Condition | None:
        """Made anew at a resume too: it follows from the picture, and need not be in every checkpoint."""
        with self._computing(state.threads), self._decoder.lock:
            self._decoder.tile(state.shape.width, state.shape.height)
            return self._conditioner.condition(state.work, state.shape, state.latents)

    def _predict(self, state: DenoiseState, timestep: torch.Tensor) -> torch.Tensor:
        """The model's output for one step, guided away from the negative prompt as in classifier-free guidance."""
        shown = self._conditioner.model_input(state.latents, state.condition)
        times = self._conditioner.times(timestep, state.latents, state.condition)
        prediction = self._forward("cond", state, shown, times, state.prompt)
        if state.negative is not None:
            unguided = self._forward("uncond", state, shown, times, state.negative)
            prediction = unguided + state.work.guidance * (prediction - unguided)
        return prediction

    def _forward(
        self, name: str, state: DenoiseState, shown: torch.Tensor, times: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        transformer = self.pipeline.transformer
        place = {
            "step_index": state.index,
            "sigma": state.sigmas[state.index],
            "num_inference_steps": state.work.steps,
        }
        picture = None if state.condition is None else state.condition.embeds
        with transformer.cache_context(name, **place):
            return transformer(
                hidden_states=shown,
                timestep=times,
                encoder_hidden_states=text,
                encoder_hidden_states_image=picture,
                return_dict=False,
            )[0]

    def _cached(self, state: DenoiseState) -> contextlib.AbstractContextManager:
        if self._cache is None:
            return contextlib.nullcontext()
        return self._cache.of(state.step_cache, state.index)

    def shape_of(self, work: ClipWork) -> shapes.Shape:
        """What is denoised and decoded for this work. Raises UnsupportedWork where the model has no such shape."""
        ready = self.facts.shapes if self.options.compile else ()
        return shapes.fit(work.width, work.height, work.frames, self._grid, ready)

    def _latent_shape(self, shape: shapes.Shape) -> tuple[int, ...]:
        return (1, self._conditioner.channels, *shape.latent)

    def _match(self, work: ClipWork, values: Mapping, tensors: Mapping[str, torch.Tensor]) -> None:
        # Checkpoints of the first release name neither options nor picture: they had none.
        found = {"options": "", "image": None, **values}
        for name, value in self._identity(work).items():
            if found.get(name) != value:
                raise CheckpointMismatch(
                    f"The checkpoint's {name} is {found.get(name)!r}, here it is {value!r}."
                )
        shape, ours = tuple(tensors["latents"].shape), self._latent_shape(self.shape_of(work))
        if shape != ours:
            raise CheckpointMismatch(f"The checkpoint's latent is {shape}, the work's {ours}.")

    def _note_memory(self, state: DenoiseState) -> None:
        # Read at every call, because the next clip's start begins the count anew.
        state.peak_memory_bytes = max(state.peak_memory_bytes, memory.peak_bytes(self.device))

    @contextlib.contextmanager
    def _computing(self, threads: int) -> Iterator[None]:
        """No gradients, and the clip's own number of threads: torch keeps both per thread of the process."""
        torch.set_num_threads(threads)
        with torch.inference_mode():
            yield

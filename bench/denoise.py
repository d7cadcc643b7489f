"""Our denoising loop beside the bare pipeline's, and what each option of the engine brings.

`make bench NAME=denoise [SHORT=1]` measures the shipped model on this machine's CPU. Other processes take their share
of it meanwhile, so ours and the reference are measured in turns and the ratios are what counts.
`python -m bench.denoise --gpu-shape wan-1.3b` measures a large model's shape with random weights (docs/gpu.md).
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.harness import Figure, Run, seconds
from generation.engines import projection
from generation.engines.decoding import Decoder
from generation.engines.options import EngineOptions
from generation.engines.schedulers import EULER, UNIPC
from generation.engines.video import ClipWork, DenoiseState, VideoEngine
from generation.worker import checkpoints

SHIPPED = Path(__file__).resolve().parents[1] / "generation" / "weights" / "pocket-video"
EVERY = 10  # steps between two checkpoints, and between two looks, as the worker does
SPEC = "bench"


@dataclass
class Loop:
    """The worker's loop without the database: steps, guard, checkpoints through the writer, looks."""

    engine: VideoEngine
    folder: Path
    checkpoint_s: float = 0.0
    look_s: float = 0.0
    step_s: float = 0.0
    steps: int = 0

    def make(self, work: ClipWork) -> DenoiseState:
        """A whole clip but for its decoding; adds up where the time went."""
        writer = checkpoints.CheckpointWriter(self.folder, "bench", 1)
        state = self.engine.start(work)
        while not state.done:
            self.step_s += seconds(lambda: self._step(state))
            if state.index % EVERY == 0 or state.done:
                self.checkpoint_s += seconds(lambda: self._checkpoint(state, writer))
                self.look_s += seconds(lambda: self.engine.preview(state))
        self.steps += work.steps
        self.checkpoint_s += seconds(writer.close)
        return state

    def _step(self, state: DenoiseState) -> None:
        self.engine.step(state)
        if not self.engine.finite(state):
            raise RuntimeError(f"The latent was no longer finite at step {state.index}.")

    def _checkpoint(self, state: DenoiseState, writer: checkpoints.CheckpointWriter) -> None:
        tensors, values = self.engine.snapshot(state)
        writer.save(state.index, tensors, {"spec_hash": SPEC, **values})


def measure(run: Run) -> Iterable[Figure]:
    """Ratios to the bare pipeline, shares of checkpoint and look, seconds per step by option, resume equality."""
    short = os.environ.get("SHORT") == "1"
    steps = 10 if short else 30
    run = replace(run, repeats=3 if short else 9)
    sys.stderr.write("bench: the machine is shared with other work; trust the ratios, not the seconds\n")
    plain = VideoEngine(SHIPPED, "bench")
    work = work_of(plain, steps)
    plain.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        yield from against_the_bare_pipeline(run, Loop(plain, Path(folder)), work)
    yield from by_option(run, plain, work, short)
    yield look(run, plain, work)
    yield decoding(run, plain, work)
    with tempfile.TemporaryDirectory() as folder:
        yield resumed(SHIPPED, Path(folder), 4 if short else 10)


def work_of(
    engine: VideoEngine, steps: int, prompt: str = "a red ball rolls left over grass at sunset"
) -> ClipWork:
    """The clip that the model does best."""
    best = engine.facts
    return ClipWork(prompt, "", best.width, best.height, best.frames, steps, best.guidance, seed=1)


def against_the_bare_pipeline(run: Run, loop: Loop, work: ClipWork) -> Iterable[Figure]:
    """The same clip in turns; the bare pipeline neither checkpoints, nor looks, nor can it stop."""
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}
    ours, bare = run.beside(
        _with_cpu(lambda: loop.make(work), cpu["ours"]),
        _with_cpu(lambda: bare_latents(loop.engine, work), cpu["bare"]),
    )
    state = loop.make(work)
    if not torch.equal(state.latents, bare_latents(loop.engine, work)):
        raise RuntimeError("Our loop made another latent than the bare pipeline.")
    yield Figure("clip_s", ours, "s", "the bare pipeline, no checkpoints and looks, not decoded either", bare)
    medians = {name: float(np.median(values[run.warmups :])) for name, values in cpu.items()}
    yield Figure(
        "clip_cpu_s",
        medians["ours"],
        "s",
        "processor time of the bare pipeline, all threads",
        medians["bare"],
    )
    yield Figure(
        "checkpoint_share", loop.checkpoint_s, "s", "steps between the checkpoints, summed", loop.step_s
    )
    yield Figure("look_share", loop.look_s, "s", "steps between the looks, summed", loop.step_s)


def bare_latents(engine: VideoEngine, work: ClipWork) -> torch.Tensor:
    """What diffusers itself makes of the same work with the same parts."""
    pipeline = engine.pipeline
    pipeline.set_progress_bar_config(disable=True)
    torch.set_num_threads(engine.threads)
    # With one latent a frame the pipeline rounds n up to n + 1.
    frames = work.frames - 1 if pipeline.vae_scale_factor_temporal == 1 else work.frames
    return pipeline(
        prompt=work.prompt,
        negative_prompt=work.negative_prompt,
        width=work.width,
        height=work.height,
        num_frames=frames,
        num_inference_steps=work.steps,
        guidance_scale=work.guidance,
        generator=torch.Generator().manual_seed(work.seed),
        max_sequence_length=engine.facts.max_sequence_length,
        output_type="latent",
    ).frames


def by_option(run: Run, plain: VideoEngine, work: ClipWork, short: bool) -> Iterable[Figure]:
    """Processor seconds per step with one thing changed, each beside the plain bf16 engine in turns.

    The engines compute on one thread, so this is what they take on a core of their own.
    """
    cached = EngineOptions(step_cache="first_block", step_cache_threshold=0.1)
    variants = {
        "int8": {"dtype": "int8"},
        "fp32": {"dtype": "fp32"},
        "step_cache": {"options": cached},
    }
    if not short:
        compiled = EngineOptions(compile=True)
        variants |= {"compile": {"options": compiled}, "int8_compile": {"dtype": "int8", "options": compiled}}
    reference = "bf16, no options"
    for name, choice in variants.items():
        engine = VideoEngine(SHIPPED, "bench", **choice)
        engine.warm_up()
        # A cache has nothing to leave out of few large steps.
        clip = replace(work, steps=30) if name == "step_cache" else work
        ours, theirs = run.beside(_per_step(engine, clip), _per_step(plain, clip))
        yield Figure(f"step_cpu_s_{name}", ours, "s/step", reference, theirs)
        yield Figure(f"difference_{name}", difference(engine, plain, clip), "of 255", "pixels, mean", 255)
    fewer = replace(work, steps=work.steps // 2)
    unipc = VideoEngine(SHIPPED, "bench", scheduler=UNIPC)
    ours, theirs = run.beside(_whole(unipc, fewer), _whole(plain, work))
    yield Figure("clip_cpu_s_unipc_half_the_steps", ours, "s", f"{plain.scheduler}, all steps", theirs)


def difference(engine: VideoEngine, plain: VideoEngine, work: ClipWork) -> float:
    """Mean distance of the pixels of the same clip."""
    clips = [each.decode(_finished(each, work)).astype(float) for each in (engine, plain)]
    return float(np.abs(clips[0] - clips[1]).mean())


def look(run: Run, engine: VideoEngine, work: ClipWork) -> Figure:
    """The linear look, fitted to two clips on the spot, beside the VAE's look at the same state."""
    states = [_finished(engine, replace(work, seed=seed, steps=10)) for seed in (5, 6)]
    latents = [state.latents[0].float().numpy() for state in states]
    mix, explained = projection.fit(latents, [engine.decode_whole(state) for state in states])
    chosen = replace(engine.facts, preview="linear", preview_projection=tuple(mix))
    linear = Decoder(engine.pipeline.vae, chosen, engine.options)
    places = list(range(0, latents[0].shape[1], max(1, latents[0].shape[1] // 4)))[:4]

    def ours() -> float:
        return processor_seconds(lambda: linear.look(states[0].latents, states[0].shape, places))

    def theirs() -> float:
        return processor_seconds(lambda: engine.preview(states[0]))

    with torch.inference_mode():
        values = run.beside(ours, theirs)
    return Figure(
        "look_linear_cpu_s", values[0], "s", f"the VAE's look; linear explains {explained:.3f}", values[1]
    )


def decoding(run: Run, engine: VideoEngine, work: ClipWork) -> Figure:
    state = _finished(engine, replace(work, steps=2))
    took = run.median(lambda: seconds(lambda: engine.decode(state)))
    return Figure(
        "decode_s", took, "s", "budget of the facts, or as warm-up measured", engine.decode_estimate_s(work)
    )


def resumed(folder: Path, root: Path, steps: int) -> Figure:
    """Through files, after every step of every scheduler and precision; raises if one latent differs in one bit."""
    tried = equal = 0
    for scheduler in (EULER, UNIPC):
        for dtype in ("bf16", "fp32", "int8"):
            engine = VideoEngine(folder, "bench", dtype=dtype, scheduler=scheduler)
            work, job = work_of(engine, steps), f"{scheduler}-{dtype}"
            state = engine.start(work)
            while not state.done:
                engine.step(state)
                tensors, values = engine.snapshot(state)
                checkpoints.save(
                    root, f"{job}-{state.index}", 1, state.index, tensors, {"spec_hash": SPEC, **values}
                )
            for step in range(1, steps):
                found = checkpoints.latest(root, f"{job}-{step}", SPEC, "bench", engine.scheduler, dtype)
                other = _finished(engine, work, engine.resume(work, found.checkpoint))
                tried += 1
                equal += torch.equal(other.latents, state.latents)
    if equal != tried:
        raise RuntimeError(f"{tried - equal} of {tried} resumed clips differ from the uninterrupted one.")
    return Figure("resumed_equal", equal, "clips", "resumed after each step, scheduler and precision", tried)


def _finished(engine: VideoEngine, work: ClipWork, state: DenoiseState | None = None) -> DenoiseState:
    state = state or engine.start(work)
    while not state.done:
        engine.step(state)
    return state


def _per_step(engine: VideoEngine, work: ClipWork) -> Callable[[], float]:
    return lambda: processor_seconds(lambda: _finished(engine, work)) / work.steps


def _whole(engine: VideoEngine, work: ClipWork) -> Callable[[], float]:
    return lambda: processor_seconds(lambda: _finished(engine, work))


def processor_seconds(work: Callable[[], object]) -> float:
    """Seconds of all processors that a piece of work takes; others' work does not lengthen them."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _with_cpu(make: Callable[[], object], spent: list[float]) -> Callable[[], float]:
    """Wall seconds of a clip; notes the processor's seconds."""

    def once() -> float:
        return seconds(lambda: spent.append(processor_seconds(make)))

    return once


if __name__ == "__main__":
    from bench import wan_shapes

    for line in wan_shapes.measure_from(sys.argv[1:]):
        print(line.line(), flush=True)

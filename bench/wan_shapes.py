"""A large model's shape with random weights: how fast a card is with it, through the very engine that serves.

Random weights make noise of a clip, and take the same time as trained ones. See docs/gpu.md.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from bench.denoise import SHIPPED, Loop
from bench.harness import Figure
from generation.engines.errors import EngineError
from generation.engines.options import EngineOptions
from generation.engines.video import ClipWork, VideoEngine

SIZES = ("480p", "720p")
FRAMES = 81
TEXT_TOKENS = 512
# Dense bf16 peaks by the makers' data sheets, in FLOP/s.
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "L4": 121e12,
}
VARIANTS = {
    "compile": {"options": EngineOptions(compile=True)},
    "step_cache": {"options": EngineOptions(step_cache="first_block", step_cache_threshold=0.1)},
    "int8": {"dtype": "int8"},
    "int8_compile": {"dtype": "int8", "options": EngineOptions(compile=True)},
    "fp8": {"dtype": "fp8"},
    "fp8_compile": {"dtype": "fp8", "options": EngineOptions(compile=True)},
}


@dataclass(frozen=True)
class Shape:
    """A transformer, a VAE and the pixels of the clips. `vae` None is Wan's real one."""

    layers: int
    heads: int
    head: int
    ffn: int
    text: int
    vae: dict | None = None
    pixels: tuple[tuple[int, int], tuple[int, int]] = ((832, 480), (1280, 720))

    @property
    def dim(self) -> int:
        return self.heads * self.head


SHAPES = {
    "wan-1.3b": Shape(layers=30, heads=12, head=128, ffn=8960, text=4096),
    # Says nothing of a card: it shows on a CPU that all of this runs.
    "tiny": Shape(
        layers=2,
        heads=2,
        head=12,
        ffn=32,
        text=16,
        vae={"base_dim": 3, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1},
        pixels=((96, 64), (160, 96)),
    ),
}


def measure_from(arguments: Sequence[str]) -> Iterable[Figure]:
    """Figures for `--gpu-shape NAME`; the tiny shape runs on a CPU too, to show that this runs."""
    parser = argparse.ArgumentParser(prog="python -m bench.denoise")
    parser.add_argument("--gpu-shape", choices=sorted(SHAPES), required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--steps", type=int, default=4)
    chosen = parser.parse_args(arguments)
    if chosen.device == "cpu" and chosen.gpu_shape != "tiny":
        parser.error("there is no GPU here; on a CPU only --gpu-shape tiny makes sense")
    with tempfile.TemporaryDirectory() as folder:
        shape = SHAPES[chosen.gpu_shape]
        yield from measure(write(Path(folder) / "model", shape), shape, chosen, Path(folder))


def measure(folder: Path, shape: Shape, chosen: argparse.Namespace, scratch: Path) -> Iterable[Figure]:
    """Each size: the plain engine with checkpoints, looks and decoding; then the options, each beside it."""
    plain = {}
    engine = VideoEngine(folder, "bench", device=chosen.device)
    peak = bf16_peak(engine)
    for size in chosen.sizes:
        work = work_of(shape, size, chosen)
        plain[size] = per_step(engine, work)
        flops = 2 * flops_of(shape, tokens_of(engine, work))
        yield Figure(
            f"{size}_step_s",
            plain[size],
            "s/step",
            f"at the bf16 peak, {peak / 1e12:.0f} TFLOP/s",
            flops / peak,
        )
        loop = Loop(engine, scratch / "checkpoints")
        state = loop.make(work)
        wait(engine)
        every = loop.step_s
        yield Figure(f"{size}_checkpoint_s", loop.checkpoint_s, "s", "the steps between", every)
        yield Figure(f"{size}_look_s", loop.look_s, "s", "the steps between", every)
        began = time.perf_counter()
        engine.decode(state)
        decoded = time.perf_counter() - began
        yield Figure(f"{size}_decode_s", decoded, "s", "all steps of a clip of 50", 50 * plain[size])
        peak_memory = state.peak_memory_bytes
        yield Figure(f"{size}_peak_gb", peak_memory / 1e9, "GB", "weights on disk", _bytes_of(folder) / 1e9)
    del engine
    for name in chosen.variants:
        yield from _variant(folder, shape, name, chosen, plain)


def _variant(
    folder: Path, shape: Shape, name: str, chosen: argparse.Namespace, plain: dict[str, float]
) -> Iterable[Figure]:
    """What the device cannot do is left out, with its reason as the name of a figure of nothing."""
    try:
        for size in chosen.sizes:
            work = work_of(shape, size, chosen)
            engine = VideoEngine(folder, "bench", device=chosen.device, **VARIANTS[name])
            # Compiled graphs are made for the shapes of the facts.
            engine.facts = replace(
                engine.facts, width=work.width, height=work.height, frames=work.frames, sizes=()
            )
            yield Figure(f"{size}_step_s_{name}", per_step(engine, work), "s/step", "bf16", plain[size])
            del engine
    except EngineError as refusal:
        yield Figure(f"refused_{name}", 0, "s/step", str(refusal), 1)


def write(folder: Path, shape: Shape, seed: int = 0) -> Path:
    """A Wan pipeline with random bf16 weights; its text encoder is small, as it runs once a clip."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED / "tokenizer")
    text = UMT5Config(
        vocab_size=len(tokenizer),
        d_model=shape.text,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
    )
    vae = AutoencoderKLWan() if shape.vae is None else AutoencoderKLWan(**shape.vae)
    transformer = WanTransformer3DModel(
        num_attention_heads=shape.heads,
        attention_head_dim=shape.head,
        in_channels=vae.config.z_dim,
        out_channels=vae.config.z_dim,
        text_dim=shape.text,
        ffn_dim=shape.ffn,
        num_layers=shape.layers,
    )
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=UMT5EncoderModel(text).to(torch.bfloat16),
        vae=vae.to(torch.bfloat16),
        transformer=transformer.to(torch.bfloat16),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    pipeline.save_pretrained(folder)
    (folder / "backlot.json").write_text(f'{{"max_sequence_length": {TEXT_TOKENS}}}')
    return folder


def work_of(shape: Shape, size: str, chosen: argparse.Namespace) -> ClipWork:
    width, height = shape.pixels[SIZES.index(size)]
    return ClipWork("a red ball", "", width, height, chosen.frames, chosen.steps, guidance=5.0, seed=1)


def tokens_of(engine: VideoEngine, work: ClipWork) -> int:
    """Tokens that the transformer sees of a clip."""
    shape = engine.shape_of(work)
    return shape.patches // math.prod(engine.pipeline.transformer.config.patch_size)


def flops_of(shape: Shape, tokens: int, text: int = TEXT_TOKENS) -> float:
    """Floating-point operations of one forward, a multiplication and an addition being two.

    Per layer, N tokens, width d, hidden width f, S text tokens: projections of self-attention 8Nd², its products 4N²d;
    of cross-attention 4Nd² + 4Sd² and 4NSd; the feed-forward part 4Ndf. Norms, embeddings and the patches' ends are
    left out (under 1 %). A guided step is two forwards.
    """
    n, d, f, s = tokens, shape.dim, shape.ffn, text
    layer = 8 * n * d * d + 4 * n * n * d + 4 * n * d * d + 4 * s * d * d + 4 * n * s * d + 4 * n * d * f
    return float(shape.layers * layer)


def bf16_peak(engine: VideoEngine) -> float:
    """FLOP/s in bf16: as the data sheet says where the card is known, else as a large product of matrices reaches."""
    if engine.device.type == "cuda":
        for name, peak in PEAKS.items():
            if all(word in engine.device_name for word in name.split()):
                return peak
    side = 8192 if engine.device.type == "cuda" else 512
    matrix = torch.randn(side, side, device=engine.device, dtype=torch.bfloat16)
    best = math.inf
    for _ in range(5):
        wait(engine)
        began = time.perf_counter()
        matrix @ matrix  # noqa: B018
        wait(engine)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def per_step(engine: VideoEngine, work: ClipWork) -> float:
    """Seconds of a guided step, the first one left out (it compiles, and fills caches of kernels)."""
    state = engine.start(work)
    engine.step(state)
    engine.finite(state)
    wait(engine)
    began = time.perf_counter()
    while not state.done:
        engine.step(state)
        engine.finite(state)
    wait(engine)
    return (time.perf_counter() - began) / (work.steps - 1)


def wait(engine: VideoEngine) -> None:
    """Until the device has done all that was asked of it."""
    if engine.device.type == "cuda":
        torch.cuda.synchronize(engine.device)


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))

"""A model folder into a diffusers pipeline that is ready to run: checked, quantized, placed, with its options on."""

import json
from pathlib import Path

import diffusers
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from generation.engines import memory, precision
from generation.engines.errors import ModelUnavailable, UnsupportedModel
from generation.engines.facts import ModelFacts
from generation.engines.options import EngineOptions

# Named, not imported: the second one brings CLIP along, which most models do without.
LTX = "LTXPipeline"
PIPELINES = ("WanPipeline", "WanImageToVideoPipeline", LTX)
# The pipelines of diffusers 0.42 spread a time per token over patches of this size, whatever the model's are.
PATCH_OF_TOKEN_TIMES = (1, 2, 2)
# One graph for each shape that is offered; beyond the limit torch would run uncompiled, with other bits.
GRAPHS = 64


def load(
    folder: Path, dtype: str, device: torch.device, facts: ModelFacts, options: EngineOptions
) -> diffusers.DiffusionPipeline:
    """The pipeline on its device. Raises ModelUnavailable or UnsupportedModel that says what is in the way."""
    precision.check(dtype, device)
    pipeline_class = class_of(folder)
    _check_options(options, device, pipeline_class)
    memory.require(folder, dtype, device, facts, options)
    pipeline = _read(pipeline_class, folder, precision.LOADED_AS[dtype])
    _check_transformer(folder, pipeline)
    precision.quantize(pipeline.transformer, dtype, device)
    _set_attention(pipeline.transformer, options.attention)
    if options.compile:
        compile_blocks(pipeline.transformer)
    if options.offload:
        pipeline.enable_model_cpu_offload(device=device)
        return pipeline
    return pipeline.to(device)


def compile_blocks(transformer: torch.nn.Module) -> None:
    """Compile the blocks (one graph serves all of them, one for each shape), without autotuning and CUDA graphs.

    Autotuning picks the kernel that happened to be fastest, so two workers could compute different bits.
    """
    torch._dynamo.config.recompile_limit = GRAPHS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    torch._inductor.config.deterministic = True
    transformer.compile_repeated_blocks(dynamic=False)


def class_of(folder: Path) -> type:
    """The diffusers pipeline of a folder. Raises ModelUnavailable or UnsupportedModel."""
    try:
        config = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"{folder} is not a diffusers folder: its model_index.json cannot be read ({error})."
        ) from error
    name = config.get("_class_name")
    if name not in PIPELINES:
        raise UnsupportedModel(f"{folder} holds a {name}, not a {' or '.join(PIPELINES)}.")
    if config.get("boundary_ratio") is not None:
        raise UnsupportedModel(f"{folder} needs two transformers, which this engine does not run.")
    return getattr(diffusers, name)


def _read(pipeline_class: type, folder: Path, dtype: torch.dtype) -> diffusers.DiffusionPipeline:
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        # `dtype` at load, not `.to(bf16)`: Wan keeps its norms and time embedding in fp32.
        return pipeline_class.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{folder} cannot be loaded: {error}") from error


def _check_options(options: EngineOptions, device: torch.device, pipeline_class: type) -> None:
    if options.step_cache and pipeline_class.__name__ == LTX:
        raise UnsupportedModel("The step cache has not been tried with LTX-Video; leave it out.")
    known = sorted(backend.value for backend in AttentionBackendName)
    if options.attention and options.attention not in known:
        raise UnsupportedModel(
            f"There is no attention backend {options.attention}; diffusers has {', '.join(known)}."
        )
    if options.offload and device.type != "cuda":
        raise UnsupportedModel("Offloading keeps parts of a model off a GPU; this device is none.")
    if options.compile and options.step_cache:
        raise UnsupportedModel("Compiled blocks and a step cache do not go together; choose one.")


def _check_transformer(folder: Path, pipeline: diffusers.DiffusionPipeline) -> None:
    config = pipeline.transformer.config
    if pipeline.config.get("expand_timesteps") and tuple(config.patch_size) != PATCH_OF_TOKEN_TIMES:
        raise UnsupportedModel(
            f"{folder} has a time per token and patches of {tuple(config.patch_size)}, not {PATCH_OF_TOKEN_TIMES}."
        )


def _set_attention(transformer: torch.nn.Module, backend: str | None) -> None:
    """For this transformer alone: diffusers makes its choice that of all models in the process that made none."""
    if backend is None:
        return
    before, _ = _AttentionBackendRegistry.get_active_backend()
    try:
        transformer.set_attention_backend(backend)
    except (RuntimeError, ValueError, ImportError) as error:
        raise UnsupportedModel(f"The attention backend {backend} cannot run here: {error}") from error
    finally:
        _AttentionBackendRegistry.set_active_backend(before)

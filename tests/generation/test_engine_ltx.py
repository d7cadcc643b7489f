"""LTX-Video through the same loop: the bare pipeline's clip, resumes, precisions, tiles; random weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generation.engines import memory
from generation.engines.clips import ClipWork
from generation.engines.errors import CheckpointMismatch, UnsupportedModel, UnsupportedWork
from generation.engines.facts import ModelFacts
from generation.engines.ltx import LtxEngine, engine_for
from generation.engines.options import EngineOptions
from generation.engines.video import VideoEngine
from tests.generation.tiny_models import write_ltx_model, write_video_model

WORK = ClipWork("a red ball rolls left", "blur", 32, 16, 9, steps=4, guidance=3.0, seed=11)
FACTS = {"width": 32, "height": 16, "frames": 9, "fps": 8, "max_sequence_length": 32, "sizes": ["32x16"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = write_ltx_model(tmp_path_factory.mktemp("models") / "tiny ltx")
    (folder / "backlot.json").write_text(json.dumps(FACTS))
    return folder


@pytest.fixture(scope="module")
def engines(folder) -> dict[str, LtxEngine]:
    return {dtype: LtxEngine(folder, "r1", dtype=dtype) for dtype in ("fp32", "bf16", "int8")}


def finished(engine, work, state=None):
    state = state or engine.start(work)
    while not state.done:
        engine.step(state)
        assert engine.finite(state)
    return state


def bare(engine: LtxEngine, work: ClipWork) -> np.ndarray:
    """What diffusers itself makes of the same work, with the same parts."""
    engine.pipeline.set_progress_bar_config(disable=True)
    torch.set_num_threads(engine.threads)
    made = engine.pipeline(
        prompt=work.prompt,
        negative_prompt=work.negative_prompt,
        width=work.width,
        height=work.height,
        num_frames=work.frames,
        frame_rate=engine.facts.fps,
        num_inference_steps=work.steps,
        guidance_scale=work.guidance,
        generator=torch.Generator().manual_seed(work.seed),
        max_sequence_length=engine.facts.max_sequence_length,
        output_type="np",
    )
    return (made.frames[0] * 255).round().astype(np.uint8)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_a_clip_equals_the_bare_pipelines(engines, dtype, guidance, monkeypatch):
    # The pipeline takes only multiples of 32 pixels; this one's cells are of four.
    monkeypatch.setattr(type(engines[dtype].pipeline), "check_inputs", lambda *_, **__: None)
    work = replace(WORK, guidance=guidance)
    frames = engines[dtype].decode(finished(engines[dtype], work))
    assert frames.shape == (9, 16, 32, 3)
    assert frames.std() > 1
    assert np.array_equal(frames, bare(engines[dtype], work))


def test_a_vae_that_denoises_once_more_equals_the_bare_pipelines(tmp_path, monkeypatch):
    engine = LtxEngine(write_ltx_model(tmp_path / "0.9.1", denoising_vae=True), "r1", dtype="fp32")
    monkeypatch.setattr(type(engine.pipeline), "check_inputs", lambda *_, **__: None)
    assert np.array_equal(engine.decode(finished(engine, WORK)), bare(engine, WORK))


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_a_resumed_clip_is_the_same_in_every_bit(engines, dtype):
    engine = engines[dtype]
    whole = finished(engine, WORK)
    state = engine.start(WORK)
    for _ in range(2):
        engine.step(state)
    resumed = finished(engine, WORK, engine.resume(WORK, engine.snapshot(state)))
    assert torch.equal(whole.latents, resumed.latents)
    with pytest.raises(CheckpointMismatch):
        engines["fp32" if dtype != "fp32" else "bf16"].resume(WORK, engine.snapshot(state))


def test_int8_is_near_bf16(engines):
    frames = {
        dtype: engines[dtype].decode(finished(engines[dtype], WORK)).astype(int) for dtype in ("bf16", "int8")
    }
    assert 0 < np.abs(frames["int8"] - frames["bf16"]).mean() < 8


def test_sizes_and_lengths_that_fit_no_cell_are_cut_out_and_looked_at(engines):
    engine = engines["fp32"]
    work = replace(WORK, width=30, height=14, frames=8, steps=2)
    state = finished(engine, work)
    assert engine.decode(state).shape == (8, 14, 30, 3)
    assert engine.preview(state).shape[1:] == (14, 30, 3)
    assert engine.warm_up() > 0
    with pytest.raises(UnsupportedWork, match="at least 2 steps"):
        engine.start(replace(WORK, steps=1))


def test_tiles_keep_the_picture(folder):
    work = replace(WORK, width=160, height=96, steps=2)
    frames = {}
    for name, chosen in {
        "whole": EngineOptions(),
        "tiles": EngineOptions(tile_above_pixels=96 * 96, tile_pixels=64),
    }.items():
        engine = LtxEngine(folder, "r1", dtype="fp32", options=chosen)
        frames[name] = engine.decode(finished(engine, work)).astype(int)
    assert frames["tiles"].shape == frames["whole"].shape == (9, 96, 160, 3)
    assert 0 < np.abs(frames["tiles"] - frames["whole"]).mean() < 8


@pytest.mark.parametrize(
    ("dtype", "options", "why"),
    [
        ("fp8", EngineOptions(), "fp8 needs a GPU"),
        ("bf16", EngineOptions(offload="model"), "this device is none"),
        ("bf16", EngineOptions(step_cache="first_block"), "has not been tried with LTX-Video"),
    ],
)
@pytest.mark.parametrize("family", ["ltx", "wan"])
def test_what_this_device_or_family_can_not_do_is_refused_by_name(
    folder, tmp_path, family, dtype, options, why
):
    if family == "wan":
        if options.step_cache:
            return
        folder = write_video_model(tmp_path / "wan")
    with pytest.raises(UnsupportedModel, match=why):
        engine_for(folder)(folder, "r1", dtype=dtype, options=options)


def test_it_runs_with_its_own_scheduler_and_from_text_alone(folder, engines):
    with pytest.raises(UnsupportedModel, match="its own"):
        LtxEngine(folder, "r1", scheduler="UniPCMultistepScheduler")
    with pytest.raises(UnsupportedWork, match="from text alone"):
        engines["fp32"].start(replace(WORK, image=np.zeros((16, 32, 3), np.uint8)))
    assert not engines["fp32"].image_to_video


def test_the_folder_says_which_engine_runs_it(folder, tmp_path):
    assert engine_for(folder) is LtxEngine
    assert engine_for(write_video_model(tmp_path / "wan")) is VideoEngine


def test_its_memory_is_counted_before_it_is_read(folder):
    sizes = memory.weight_bytes(folder, "int8", on_device=True)
    assert 2 * sizes["transformer"] == memory.weight_bytes(folder, "bf16", on_device=True)["transformer"]
    small, large = (
        memory.activation_bytes(
            folder, "bf16", ModelFacts(width=side, height=side, frames=9), EngineOptions()
        )
        for side in (64, 256)
    )
    assert 0 < small < large

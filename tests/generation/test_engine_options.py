"""Options of a model: read from its facts, refused by name, and bit-identical after a resume whichever are on."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generation.engines import memory, options, schedulers
from generation.engines.errors import CheckpointMismatch, ModelUnavailable, UnsupportedModel, UnsupportedWork
from generation.engines.facts import FACTS_FILE, ModelFacts
from generation.engines.options import EngineOptions
from generation.engines.video import ClipWork, Snapshot, VideoEngine
from generation.worker import checkpoints
from tests.generation.tiny_models import write_video_model

WORK = ClipWork("a red ball rolls left", "blur", 32, 16, 4, steps=8, guidance=4.0, seed=11)
CACHED = EngineOptions(step_cache="first_block", step_cache_threshold=0.9, step_cache_refresh=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_video_model(tmp_path_factory.mktemp("models") / "tiny video")


def finished(engine, work, state=None):
    state = state or engine.start(work)
    while not state.done:
        engine.step(state)
        assert engine.finite(state)
    return state


def test_reads_what_a_row_of_the_registry_says():
    assert options.read(None) == options.read({}) == EngineOptions()
    written = {"compile": True, "attention": "native", "tile_above_pixels": 100}
    assert options.read(written) == EngineOptions(compile=True, attention="native", tile_above_pixels=100)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"compiel": True}, "unknown keys: compiel. Known: attention, compile"),
        ({"compile": 1}, "options.compile is 1; it is true or false"),
        ({"step_cache": "magic"}, "options.step_cache is 'magic'; it is \"first_block\""),
        ({"step_cache_threshold": 1.5}, "between 0 and 1"),
        ({"step_cache_refresh": 0}, "at least 1"),
        ({"offload": True}, 'it is "model" or null'),
        ({"tile_pixels": 8}, "at least 64"),
    ],
)
def test_refuses_what_it_does_not_know(written, words):
    with pytest.raises(ModelUnavailable, match=words):
        options.read(written)


def test_only_what_decides_the_bits_is_part_of_the_identity():
    assert EngineOptions(tile_above_pixels=1, tile_pixels=64, offload="model").identity == ""
    assert EngineOptions(compile=True, attention="native").identity == "compile=True, attention=native"
    assert CACHED.identity == "step_cache=first_block, threshold=0.9, refresh=5"


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (EngineOptions(attention="flush"), "no attention backend flush; diffusers has .*native"),
        (EngineOptions(attention="flash"), "flash cannot run here: .*flash-attn"),
        (EngineOptions(offload="model"), "this device is none"),
        (EngineOptions(compile=True, step_cache="first_block"), "choose one"),
    ],
)
def test_refuses_what_the_device_or_the_library_cannot_do(folder, chosen, words):
    with pytest.raises(UnsupportedModel, match=words):
        VideoEngine(folder, "r1", options=chosen)


def test_the_folder_may_choose_where_the_registry_does_not(tmp_path):
    folder = write_video_model(tmp_path / "model")
    (folder / FACTS_FILE).write_text(json.dumps({"options": {"attention": "_native_math"}}))
    assert VideoEngine(folder, "r1").options == EngineOptions(attention="_native_math")
    assert VideoEngine(folder, "r1", options=EngineOptions()).options.attention is None


def test_an_attention_backend_changes_how_it_is_computed_and_not_what(folder):
    # The engines live side by side in one process: one's choice is not the other's.
    plain = VideoEngine(folder, "r1", dtype="fp32")
    before = finished(plain, WORK).latents
    other = VideoEngine(folder, "r1", dtype="fp32", options=EngineOptions(attention="_native_math"))
    chosen = finished(other, WORK).latents
    assert torch.equal(finished(plain, WORK).latents, before)
    assert not torch.equal(chosen, before)
    assert torch.allclose(chosen, before, atol=1e-3)


@pytest.fixture(scope="module", params=[schedulers.EULER, schedulers.UNIPC])
def cached(request, folder) -> VideoEngine:
    return VideoEngine(folder, "r1", dtype="bf16", scheduler=request.param, options=CACHED)


def later_blocks(engine, work) -> tuple[int, torch.Tensor]:
    """How often the second of the two blocks really computed, and the latent."""
    ran = []
    block = engine.pipeline.transformer.blocks[1]
    hook = block.attn1.register_forward_hook(lambda *_: ran.append(1))
    try:
        latents = finished(engine, work).latents
    finally:
        hook.remove()
    return len(ran), latents


def test_a_step_cache_leaves_blocks_out_and_begins_anew_every_few_steps(cached):
    computed, _ = later_blocks(cached, WORK)
    # Eight steps, with and without the prompt: the first of each five at least, and fewer than all.
    assert 4 <= computed < 16


def test_a_cached_clip_resumes_bit_identically_after_every_step(cached):
    state, snapshots = cached.start(WORK), []
    while not state.done:
        cached.step(state)
        snapshots.append(cached.snapshot(state))
    carried = [sum(name.startswith("step_cache.") for name in tensors) for tensors, _ in snapshots]
    assert carried == [4, 4, 4, 4, 0, 4, 4, 4]
    other = cached.start(replace(WORK, seed=99, prompt="a blue star"))
    for tensors, values in snapshots:
        cached.step(other)  # another clip in between must leave no trace
        resumed = cached.resume(WORK, Snapshot(tensors, json.loads(json.dumps(values))))
        assert torch.equal(finished(cached, WORK, resumed).latents, state.latents)


def test_clips_with_a_step_cache_do_not_touch_each_other(cached):
    works = [WORK, replace(WORK, seed=5, prompt="a blue star")]
    alone = [finished(cached, work).latents for work in works]
    states = [cached.start(work) for work in works]
    while not all(state.done for state in states):
        for state in states:
            cached.step(state)
    assert all(torch.equal(state.latents, latents) for state, latents in zip(states, alone, strict=True))


def test_a_checkpoint_of_other_options_is_refused(folder, cached):
    plain = VideoEngine(folder, "r1", scheduler=cached.scheduler)
    state = plain.start(WORK)
    plain.step(state)
    with pytest.raises(CheckpointMismatch, match="options is ''"):
        cached.resume(WORK, plain.snapshot(state))


def test_tiles_keep_the_picture(tmp_path):
    folder = write_video_model(tmp_path / "causal", frames_per_latent=4)
    work = replace(WORK, width=160, height=96, frames=5, steps=2)
    frames = {}
    for name, chosen in {
        "whole": EngineOptions(),
        "tiles": EngineOptions(tile_above_pixels=96 * 96, tile_pixels=64),
    }.items():
        engine = VideoEngine(folder, "r1", dtype="fp32", options=chosen)
        frames[name] = engine.decode(finished(engine, work)).astype(int)
    assert frames["tiles"].shape == frames["whole"].shape == (5, 96, 160, 3)
    assert 0 < np.abs(frames["tiles"] - frames["whole"]).mean() < 8


def test_refuses_a_model_that_does_not_fit_before_reading_it(folder, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 123_000_000)
    huge = ModelFacts(width=4096, height=2160, frames=240)
    with pytest.raises(
        ModelUnavailable, match=r"needs about \d+\.\d GB on this machine, and 0\.1 GB are free"
    ):
        memory.require(folder, "bf16", torch.device("cpu"), huge, EngineOptions())
    memory.require(folder, "bf16", torch.device("cpu"), ModelFacts(), EngineOptions())


def test_counts_weights_by_precision_from_their_headers(folder):
    sizes = {name: memory.weight_bytes(folder, name, on_device=True) for name in ("fp32", "bf16", "int8")}
    assert set(sizes["bf16"]) == {"text_encoder", "transformer", "vae"}
    assert (
        sizes["fp32"]["transformer"] == 2 * sizes["bf16"]["transformer"] == 4 * sizes["int8"]["transformer"]
    )
    assert sizes["bf16"]["vae"] == sizes["int8"]["vae"]
    parameters = sum(p.numel() for p in VideoEngine(folder, "r1").pipeline.transformer.parameters())
    assert sizes["bf16"]["transformer"] == 2 * parameters
    host = memory.weight_bytes(folder, "int8", on_device=False)
    assert host["transformer"] == sizes["bf16"]["transformer"]


def test_the_peak_is_of_the_clip_under_way(folder):
    ballast = torch.ones(80_000_000)
    engine = VideoEngine(folder, "r1")
    with_ballast = finished(engine, WORK).peak_memory_bytes
    del ballast
    assert with_ballast - finished(engine, WORK).peak_memory_bytes > 250_000_000
    assert engine.peak_memory_bytes > 50_000_000


def test_the_decode_budget_is_of_the_facts_or_measured(tmp_path):
    folder = write_video_model(tmp_path / "model")
    engine = VideoEngine(folder, "r1")
    assert engine.decode_estimate_s(WORK) is None
    assert engine.warm_up() > 0
    assert engine.decode_estimate_s(WORK) > 0
    (folder / FACTS_FILE).write_text(json.dumps({"decode_s_per_megapixel": 0.5}))
    # 27x15 is decoded as 32x16.
    odd = replace(WORK, width=27, height=15)
    assert VideoEngine(folder, "r1").decode_estimate_s(odd) == pytest.approx(0.5 * 32 * 16 * 4 / 1e6)


COMPILED = """
import dataclasses, hashlib, json, sys
from pathlib import Path
from generation.engines.options import EngineOptions
from generation.engines.video import ClipWork, VideoEngine
from generation.worker import checkpoints
folder, root, work = Path(sys.argv[1]), Path(sys.argv[2]), ClipWork(**json.loads(sys.argv[3]))
engine = VideoEngine(folder, "r1", options=EngineOptions(compile=True))
checkpoint, refusals = checkpoints.latest(root, "job", "spec", "r1", engine.scheduler, "bf16")
state = engine.resume(work, checkpoint)
while not state.done:
    engine.step(state)
print(state.index, hashlib.sha256(engine.decode(state).tobytes()).hexdigest())
"""


# It compiles twice, which takes minutes on a busy machine: so it is of `make faults` in its long form.
@pytest.mark.faults
@pytest.mark.long
def test_a_compiled_clip_resumes_bit_identically_in_another_process(tmp_path):
    folder = write_video_model(tmp_path / "model")
    facts = {"width": 32, "height": 16, "frames": 4, "fps": 4, "seconds": [1], "sizes": ["32x16"]}
    (folder / FACTS_FILE).write_text(json.dumps(facts))
    engine = VideoEngine(folder, "r1", options=EngineOptions(compile=True))
    engine.warm_up()
    state = engine.start(WORK)
    for _ in range(3):
        engine.step(state)
    tensors, values = engine.snapshot(state)
    checkpoints.save(tmp_path / "checkpoints", "job", 1, 3, tensors, {"spec_hash": "spec", **values})
    expected = hashlib.sha256(engine.decode(finished(engine, WORK, state)).tobytes()).hexdigest()
    plain = finished(VideoEngine(folder, "r1"), WORK).latents
    assert torch.allclose(state.latents, plain, atol=0.1)
    command = [
        sys.executable,
        "-c",
        COMPILED,
        str(folder),
        str(tmp_path / "checkpoints"),
        json.dumps(vars(WORK)),
    ]
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["8", expected]
    # What no graph was made for is refused, or made in the next larger shape.
    assert engine.start(replace(WORK, width=20)).shape.width == 32
    with pytest.raises(UnsupportedWork, match="No compiled shape"):
        engine.start(replace(WORK, frames=5))

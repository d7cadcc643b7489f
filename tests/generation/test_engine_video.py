"""The denoising loop is the bare pipeline's, bit for bit, however often it is stopped and resumed."""

import hashlib
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from generation.engines import schedulers
from generation.engines.errors import (
    CheckpointMismatch,
    ModelUnavailable,
    StepBudgetSpent,
    UnsupportedModel,
    UnsupportedWork,
)
from generation.engines.video import ClipWork, Snapshot, VideoEngine
from generation.worker import checkpoints
from tests.generation.tiny_models import write_video_model

SHIPPED = Path(__file__).resolve().parents[2] / "generation" / "weights" / "pocket-video"
WORK = ClipWork("a red ball rolls left", "blur", 32, 16, 4, steps=6, guidance=4.0, seed=11)
KINDS = [(name, dtype) for name in (schedulers.EULER, schedulers.UNIPC) for dtype in ("fp32", "bf16", "int8")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_video_model(tmp_path_factory.mktemp("models") / "tiny video")


@pytest.fixture(scope="module")
def engines(folder) -> dict:
    return {kind: VideoEngine(folder, "r1", dtype=kind[1], scheduler=kind[0]) for kind in KINDS}


@pytest.fixture
def engine(engines) -> VideoEngine:
    return engines[(schedulers.EULER, "fp32")]


def finished(engine, work, state=None):
    state = state or engine.start(work)
    while not state.done:
        engine.step(state)
        assert engine.finite(state)
    return state


def bare(engine, work, output_type):
    """What diffusers itself makes of the same work, with the same parts."""
    pipeline = engine.pipeline
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = engine._template
    # With one latent a frame the pipeline rounds n up to n + 1.
    frames = work.frames - 1 if pipeline.vae_scale_factor_temporal == 1 else work.frames
    torch.set_num_threads(engine.threads)
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
        output_type=output_type,
    ).frames


def assert_equals_bare(engine, work):
    state = finished(engine, work)
    assert torch.equal(state.latents, bare(engine, work, "latent"))
    frames = engine.decode(state)
    assert frames.dtype == np.uint8
    assert frames.shape == (work.frames, work.height, work.width, 3)
    assert np.array_equal(frames, (bare(engine, work, "np")[0] * 255).round().astype(np.uint8))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_equals_the_bare_pipeline(engines, kind, guidance):
    assert_equals_bare(engines[kind], replace(WORK, guidance=guidance))


def test_equals_the_bare_pipeline_with_four_frames_a_latent(tmp_path):
    engine = VideoEngine(write_video_model(tmp_path / "causal", frames_per_latent=4), "r1", dtype="fp32")
    assert_equals_bare(engine, replace(WORK, frames=5, steps=2))


def test_the_shipped_model_equals_the_bare_pipeline():
    engine = VideoEngine(SHIPPED, "shipped")
    facts = engine.facts
    work = ClipWork("a red ball", "", facts.width, facts.height, facts.frames, 4, facts.guidance, seed=3)
    assert_equals_bare(engine, work)


def test_runs_exactly_the_steps_asked_for(engine):
    calls = []
    hook = engine.pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    try:
        state = finished(engine, replace(WORK, steps=7))
        assert (state.index, len(calls)) == (7, 14)
        with pytest.raises(StepBudgetSpent):
            engine.step(state)
        assert (state.index, len(calls)) == (7, 14)
    finally:
        hook.remove()


def test_the_seed_decides(engine):
    first, again, other = (finished(engine, replace(WORK, seed=seed)).latents for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_resumes_bit_identically_after_every_step(engines, kind):
    engine = engines[kind]
    snapshots, state = [], engine.start(WORK)
    snapshots.append(engine.snapshot(state))
    while not state.done:
        engine.step(state)
        snapshots.append(engine.snapshot(state))
    for snapshot in snapshots:
        resumed = engine.resume(WORK, Snapshot(snapshot.tensors, json.loads(json.dumps(snapshot.values))))
        assert resumed.index == snapshot.values["index"]
        assert torch.equal(finished(engine, WORK, resumed).latents, state.latents)


OTHER_PROCESS = """
import dataclasses, hashlib, json, sys
from pathlib import Path
from generation.engines.video import ClipWork, VideoEngine
from generation.worker import checkpoints
root, jobs = Path(sys.argv[1]), json.loads(sys.argv[2])
for job, (folder, revision, scheduler, dtype, work) in jobs.items():
    engine = VideoEngine(Path(folder), revision, dtype=dtype, scheduler=scheduler)
    checkpoint, refusals = checkpoints.latest(root, job, "spec", revision, engine.scheduler, dtype)
    state = engine.resume(ClipWork(**work), checkpoint)
    ran = 0
    while not state.done:
        engine.step(state)
        ran += 1
    print(json.dumps([job, ran, len(refusals), hashlib.sha256(engine.decode(state).tobytes()).hexdigest()]))
"""


def test_resumes_bit_identically_in_another_process(tmp_path, folder, engines):
    shipped = VideoEngine(SHIPPED, "shipped")
    facts = shipped.facts
    large = ClipWork("a blue star", "", facts.width, facts.height, facts.frames, 4, facts.guidance, seed=8)
    cases = {f"tiny-{index}": (engines[kind], folder, WORK) for index, kind in enumerate(KINDS)}
    cases["shipped"] = (shipped, SHIPPED, large)
    jobs, expected = {}, {}
    for job, (engine, where, work) in cases.items():
        state = engine.start(work)
        for _ in range(2):
            engine.step(state)
        tensors, values = engine.snapshot(state)
        checkpoints.save(tmp_path, job, 1, state.index, tensors, {"spec_hash": "spec", **values})
        digest = hashlib.sha256(engine.decode(finished(engine, work, state)).tobytes()).hexdigest()
        expected[job] = [job, work.steps - 2, 0, digest]
        jobs[job] = (str(where), engine.revision, engine.scheduler, engine.dtype, vars(work))
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path), json.dumps(jobs)]
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line[0]: line for line in printed} == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_revision", "r0"),
        ("scheduler", "Other"),
        ("dtype", "int8"),
        ("steps", 50),
        ("options", "compile=True"),
        ("image", "0" * 64),
    ],
)
def test_refuses_a_checkpoint_of_another_kind(engine, name, value):
    state = engine.start(WORK)
    engine.step(state)
    tensors, values = engine.snapshot(state)
    with pytest.raises(CheckpointMismatch, match=name):
        engine.resume(WORK, Snapshot(tensors, {**values, name: value}))


def test_resumes_a_checkpoint_of_the_first_release(engine):
    state = engine.start(WORK)
    engine.step(state)
    tensors, values = engine.snapshot(state)
    old = {name: value for name, value in values.items() if name not in ("options", "image")}
    assert torch.equal(engine.resume(WORK, Snapshot(tensors, old)).latents, state.latents)


def test_refuses_a_checkpoint_of_another_shape(engine):
    snapshot = engine.snapshot(engine.start(WORK))
    with pytest.raises(CheckpointMismatch, match="latent"):
        engine.resume(replace(WORK, width=64), snapshot)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_notices_a_blown_up_latent(engine, poison):
    state = engine.start(WORK)
    engine.step(state)
    assert engine.finite(state)
    state.latents = state.latents.clone()
    state.latents[0, 0, 0, 0, 0] = poison
    engine.step(state)
    assert not engine.finite(state)
    assert state.index == 2


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_previews_the_clip_as_foreseen(engines, kind):
    engine = engines[kind]
    state = engine.start(WORK)
    with pytest.raises(UnsupportedWork, match="No step"):
        engine.preview(state)
    engine.step(state)
    early = engine.preview(state, frames=3)
    assert (early.shape, early.dtype) == ((3, 16, 32, 3), np.uint8)
    unchanged = state.latents.clone()
    assert engine.preview(state, frames=99).shape == (4, 16, 32, 3)
    assert torch.equal(state.latents, unchanged)
    last = engine.preview(finished(engine, WORK, state)).astype(int)
    # After the last step what was foreseen is the clip; a causal VAE decodes its first frame alone.
    assert np.abs(last[0] - engine.decode(state)[0].astype(int)).max() <= 2
    assert np.abs(early[0] - last[0]).max() > 2


def test_decodes_one_clip_while_another_denoises(engine):
    one, other = finished(engine, WORK), replace(WORK, seed=99)
    expected, latents = engine.decode(one), finished(engine, other).latents
    decoded = []
    decoding = threading.Thread(target=lambda: decoded.extend(engine.decode(one) for _ in range(10)))
    decoding.start()
    state = engine.start(other)
    while not state.done:
        engine.step(state)
        engine.preview(state)
    decoding.join()
    assert torch.equal(state.latents, latents)
    assert len(decoded) == 10
    assert all(np.array_equal(frames, expected) for frames in decoded)


def test_does_not_decode_a_clip_whose_steps_have_not_all_run(engine):
    with pytest.raises(UnsupportedWork, match="0 of 6"):
        engine.decode(engine.start(WORK))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 0}, "at least one pixel"),
        ({"frames": 0}, "at least one frame"),
        ({"steps": 0}, "at least one"),
        ({"frames": 33}, "more than the model can place"),
    ],
)
def test_refuses_what_the_model_cannot_make(engine, change, words):
    with pytest.raises(UnsupportedWork, match=words):
        engine.start(replace(WORK, **change))


def test_refuses_schedulers_that_cannot_be_repeated():
    euler = FlowMatchEulerDiscreteScheduler()
    for own, name in [
        (DDIMScheduler(), None),
        (FlowMatchEulerDiscreteScheduler(stochastic_sampling=True), None),
        (FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), None),
        (euler, "DDIMScheduler"),
    ]:
        with pytest.raises(UnsupportedModel):
            schedulers.choose(own, name)
    assert schedulers.choose(euler, None) is euler


def test_refuses_a_folder_that_holds_no_such_model(tmp_path, folder):
    with pytest.raises(ModelUnavailable, match="model_index"):
        VideoEngine(tmp_path, "r1")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "HunyuanVideoPipeline"}))
    with pytest.raises(UnsupportedModel, match="HunyuanVideoPipeline"):
        VideoEngine(tmp_path, "r1")
    with pytest.raises(UnsupportedModel, match="fp7"):
        VideoEngine(folder, "r1", dtype="fp7")


def test_says_what_it_runs_on(engine):
    assert engine.device_name.startswith("cpu (")
    assert engine.peak_memory_bytes > 50_000_000
    assert engine.threads == 1

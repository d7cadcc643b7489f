"""Clips that begin from a picture: the bare image-to-video pipelines, bit for bit, and resumable."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image

from generation.engines import schedulers
from generation.engines.conditioning import with_first_frame
from generation.engines.errors import CheckpointMismatch, UnsupportedModel, UnsupportedWork
from generation.engines.facts import FACTS_FILE
from generation.engines.video import ClipWork, Snapshot, VideoEngine
from tests.generation.tiny_models import write_video_model

PICTURE = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
WORK = ClipWork("the ball rolls on", "blur", 32, 16, 5, steps=3, guidance=4.0, seed=11, image=PICTURE)
KINDS = ("picture", "picture seen", "time per token")


@pytest.fixture(scope="module")
def engines(tmp_path_factory) -> dict[str, VideoEngine]:
    made = {}
    for kind in KINDS:
        folder = write_video_model(tmp_path_factory.mktemp("models") / kind, frames_per_latent=4, kind=kind)
        # The attention of models that see the picture counts on exactly 512 places for the text.
        (folder / FACTS_FILE).write_text(
            json.dumps({"max_sequence_length": 512 if kind == "picture seen" else 64, "image_to_video": True})
        )
        made[kind] = VideoEngine(folder, "r1", dtype="fp32", scheduler=schedulers.UNIPC)
    return made


def finished(engine, work, state=None):
    state = state or engine.start(work)
    while not state.done:
        engine.step(state)
        assert engine.finite(state)
    return state


def bare(engine, work, output_type):
    pipeline = engine.pipeline
    if not isinstance(pipeline, WanImageToVideoPipeline):
        parts = {
            name: pipeline.components[name] for name in ("tokenizer", "text_encoder", "vae", "transformer")
        }
        pipeline = WanImageToVideoPipeline(**parts, scheduler=engine._template, expand_timesteps=True)
    pipeline.scheduler = engine._template
    pipeline.set_progress_bar_config(disable=True)
    torch.set_num_threads(engine.threads)
    return pipeline(
        image=Image.fromarray(work.image),
        prompt=work.prompt,
        negative_prompt=work.negative_prompt,
        width=work.width,
        height=work.height,
        num_frames=work.frames,
        num_inference_steps=work.steps,
        guidance_scale=work.guidance,
        generator=torch.Generator().manual_seed(work.seed),
        max_sequence_length=engine.facts.max_sequence_length,
        output_type=output_type,
    ).frames


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_equals_the_bare_pipeline(engines, kind, guidance):
    engine, work = engines[kind], replace(WORK, guidance=guidance)
    state = finished(engine, work)
    latents = with_first_frame(state.latents, state.condition)
    assert torch.equal(latents, bare(engine, work, "latent"))
    assert np.array_equal(engine.decode(state), (bare(engine, work, "np")[0] * 255).round().astype(np.uint8))
    # After the last step what was foreseen is the clip, its first frame included.
    assert np.abs(engine.preview(state)[0].astype(int) - engine.decode(state)[0].astype(int)).max() <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_decides(engines, kind):
    engine = engines[kind]
    other = replace(WORK, image=PICTURE[::-1].copy())
    assert not np.array_equal(engine.decode(finished(engine, WORK)), engine.decode(finished(engine, other)))


@pytest.mark.parametrize("kind", KINDS)
def test_resumes_bit_identically_after_every_step(engines, kind):
    engine = engines[kind]
    snapshots, state = [], engine.start(WORK)
    while not state.done:
        engine.step(state)
        snapshots.append(engine.snapshot(state))
    for tensors, values in snapshots:
        # The condition is made anew from the picture, not carried.
        assert not [name for name in tensors if "condition" in name]
        resumed = engine.resume(WORK, Snapshot(tensors, json.loads(json.dumps(values))))
        assert torch.equal(finished(engine, WORK, resumed).latents, state.latents)


def test_refuses_a_checkpoint_of_another_picture(engines):
    engine = engines["picture"]
    snapshot = engine.snapshot(engine.start(WORK))
    with pytest.raises(CheckpointMismatch, match="image"):
        engine.resume(replace(WORK, image=255 - PICTURE), snapshot)


def test_a_model_with_a_time_per_token_does_without_a_picture_too(engines):
    engine = engines["time per token"]
    state = finished(engine, replace(WORK, image=None))
    pipeline = engine.pipeline
    pipeline.scheduler = engine._template
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt=WORK.prompt,
        negative_prompt=WORK.negative_prompt,
        width=WORK.width,
        height=WORK.height,
        num_frames=WORK.frames,
        num_inference_steps=WORK.steps,
        guidance_scale=WORK.guidance,
        generator=torch.Generator().manual_seed(WORK.seed),
        max_sequence_length=64,
        output_type="latent",
    ).frames
    assert torch.equal(state.latents, expected)


def test_an_odd_size_keeps_the_picture_in_its_middle(engines):
    engine = engines["time per token"]
    odd = replace(WORK, width=27, height=15, frames=4)
    state = finished(engine, odd)
    assert state.shape.latent == (2, 2, 4)
    assert engine.decode(state).shape == (4, 15, 27, 3)


def test_refuses_a_missing_or_unwanted_picture(engines, tmp_path):
    with pytest.raises(UnsupportedWork, match="give one"):
        engines["picture"].start(replace(WORK, image=None))
    with pytest.raises(UnsupportedWork, match="uint8"):
        engines["picture"].start(replace(WORK, image=PICTURE.astype(np.float32)))
    text_only = VideoEngine(write_video_model(tmp_path / "text"), "r1", dtype="fp32")
    with pytest.raises(UnsupportedWork, match="leave the picture out"):
        text_only.start(WORK)
    assert [text_only.image_to_video, text_only.needs_image] == [False, False]
    assert [engines["picture"].image_to_video, engines["picture"].needs_image] == [True, True]
    assert [engines["time per token"].image_to_video, engines["time per token"].needs_image] == [True, False]


def test_warms_up_with_a_picture_of_its_own(engines):
    assert engines["picture"].warm_up() > 0


def test_refuses_two_transformers(tmp_path):
    folder = write_video_model(tmp_path / "two")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "boundary_ratio": 0.9}))
    with pytest.raises(UnsupportedModel, match="two transformers"):
        VideoEngine(folder, "r1")

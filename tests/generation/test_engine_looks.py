"""The linear look: fitted to decoded clips, written into the facts, shown in place of the VAE's."""

import json

import numpy as np
import pytest

from generation.engines import facts, projection
from generation.engines.errors import ModelUnavailable
from generation.engines.video import ClipWork, VideoEngine
from tests.generation.tiny_models import write_video_model

WORK = ClipWork("a red ball", "", 32, 16, 5, steps=2, guidance=4.0, seed=2)


def test_finds_the_mix_that_made_the_colours():
    random = np.random.default_rng(0)
    mix = np.array([[0.1, -0.05, 0.02], [0.0, 0.1, -0.1], [0.5, 0.45, 0.55]])
    latents, frames = [], []
    for _ in range(2):
        latent = random.uniform(-1, 1, (2, 3, 4, 5))
        colours = np.einsum("cthw,cr->thwr", latent, mix[:-1]) + mix[-1]
        pixels = colours.repeat(8, axis=1).repeat(8, axis=2)
        # The first latent stands for one frame, each further one for four.
        frames.append(
            (np.concatenate([pixels[:1], pixels[1:].repeat(4, axis=0)]) * 255).round().astype(np.uint8)
        )
        latents.append(latent)
    found, explained = projection.fit(latents, frames)
    assert np.abs(np.array(found) - mix).max() < 0.002
    assert explained > 0.999


@pytest.mark.parametrize("frames_per_latent", [1, 4])
def test_a_folder_that_was_fitted_shows_the_linear_look(tmp_path, frames_per_latent):
    folder = write_video_model(tmp_path / "model", frames_per_latent=frames_per_latent)
    best = {"width": 32, "height": 16, "frames": 5, "guidance": 3.0}
    (folder / facts.FACTS_FILE).write_text(json.dumps(best))
    explained = projection.fit_folder(folder, ["a red ball", "a blue star"], steps=2)
    assert 0 < explained <= 1
    read = facts.read(folder)
    assert (read.preview, read.width, read.guidance) == ("linear", 32, 3.0)
    engine = VideoEngine(folder, "r1", dtype="fp32")
    assert np.array(read.preview_projection).shape == (engine.pipeline.vae.config.z_dim + 1, 3)
    state = engine.start(WORK)
    while not state.done:
        engine.step(state)
    seen = engine.preview(state, frames=3)
    assert seen.dtype == np.uint8
    assert seen.shape == (min(3, state.latents.shape[2]), 16, 32, 3)
    # Random weights make all but grey pictures: this is near them, not them.
    assert np.abs(seen[:1] - engine.decode(state)[:1].astype(float)).mean() < 16


def test_a_large_look_is_small(tmp_path):
    folder = write_video_model(tmp_path / "model", frames_per_latent=4)
    channels = VideoEngine(folder, "r1").pipeline.vae.config.z_dim
    mix = [[0.1, 0.1, 0.1]] * (channels + 1)
    chosen = {"preview": "linear", "preview_projection": mix, "max_sequence_length": 8}
    (folder / facts.FACTS_FILE).write_text(json.dumps(chosen))
    engine = VideoEngine(folder, "r1", dtype="fp32")
    wide = ClipWork("a", "", 512, 16, 1, steps=1, guidance=1.0, seed=2)
    state = engine.start(wide)
    engine.step(state)
    assert engine.preview(state).shape == (1, 16, 512, 3)
    small = engine._decoder.look(state.latents, type(state.shape)(1024, 512, 1, (1, 64, 128)), [0])
    assert small.shape == (1, 256, 512, 3)


def test_a_linear_look_without_its_mix_is_refused(tmp_path):
    for written in ({"preview": "linear"}, {"preview": "guess"}):
        (tmp_path / facts.FACTS_FILE).write_text(json.dumps(written))
        with pytest.raises(ModelUnavailable, match='preview is "vae"'):
            facts.read(tmp_path)

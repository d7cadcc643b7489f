"""Sizes and lengths that a model's grid does not hit are rounded up, and cut out after decoding."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.engines import shapes
from generation.engines.errors import UnsupportedWork
from generation.engines.shapes import Grid
from generation.engines.video import ClipWork, VideoEngine
from tests.generation.tiny_models import write_video_model

WAN = Grid(in_time=4, in_space=8, patch=(1, 2, 2), longest=1024)
POCKET = Grid(in_time=1, in_space=4, patch=(2, 4, 4), longest=64)
WORK = ClipWork("a red ball", "", 32, 16, 5, steps=2, guidance=4.0, seed=1)


@pytest.mark.parametrize(
    ("asked", "grid", "shape"),
    [
        ((832, 480, 81), WAN, shapes.Shape(832, 480, 81, (21, 60, 104))),
        ((1280, 720, 80), WAN, shapes.Shape(1280, 720, 81, (21, 90, 160))),
        ((833, 471, 1), WAN, shapes.Shape(848, 480, 1, (1, 60, 106))),
        ((64, 64, 16), POCKET, shapes.Shape(64, 64, 16, (16, 16, 16))),
        ((65, 50, 15), POCKET, shapes.Shape(80, 64, 16, (16, 16, 20))),
    ],
)
def test_rounds_up_to_the_grid(asked, grid, shape):
    assert shapes.fit(*asked, grid) == shape


@given(st.integers(1, 256), st.integers(1, 256), st.integers(1, 64), st.sampled_from([POCKET, WAN]))
def test_a_shape_holds_what_was_asked_for_and_no_patch_more(width, height, frames, grid):
    shape = shapes.fit(width, height, frames, grid)
    patch = [n * grid.in_space for n in grid.patch[1:]]
    assert 0 <= shape.height - height < patch[0]
    assert 0 <= shape.width - width < patch[1]
    assert 0 <= shape.frames - frames < grid.patch[0] * grid.in_time
    assert shapes.fit(shape.width, shape.height, shape.frames, grid) == shape


def test_takes_the_smallest_compiled_shape_that_holds_it():
    ready = [(128, 128, 16), (64, 64, 16), (96, 64, 16)]
    assert shapes.fit(60, 64, 12, POCKET, ready).latent == (16, 16, 16)
    assert shapes.fit(65, 64, 16, POCKET, ready).latent == (16, 16, 24)
    with pytest.raises(UnsupportedWork, match="No compiled shape holds 64x64, 17 frames"):
        shapes.fit(64, 64, 17, POCKET, ready)


def test_refuses_what_has_no_place():
    with pytest.raises(UnsupportedWork, match="more than the model can place"):
        shapes.fit(64, 64, 129, POCKET)
    with pytest.raises(UnsupportedWork, match="at least one pixel"):
        shapes.fit(0, 64, 16, POCKET)


def test_cuts_the_middle_and_the_first_frames():
    frames = np.arange(3 * 4 * 6 * 3).reshape(3, 4, 6, 3)
    assert np.array_equal(shapes.crop(frames, 2, 2, 2), frames[:2, 1:3, 2:4])
    assert np.array_equal(shapes.crop(frames, 6, 4, 3), frames)


def test_an_odd_clip_is_the_middle_of_the_next_larger_one(tmp_path):
    engine = VideoEngine(write_video_model(tmp_path / "causal", frames_per_latent=4), "r1", dtype="fp32")
    whole, odd = WORK, replace(WORK, width=27, height=15, frames=4)
    states = [engine.start(work) for work in (whole, odd)]
    for state in states:
        while not state.done:
            engine.step(state)
    assert np.array_equal(engine.decode(states[1]), engine.decode(states[0])[:4, 0:15, 2:29])
    assert engine.preview(states[1]).shape == (2, 15, 27, 3)
    assert engine.decode_whole(states[1]).shape == (5, 16, 32, 3)

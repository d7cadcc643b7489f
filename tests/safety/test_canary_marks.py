"""Canary marks survive what happens to clips, and nothing that isn't one is taken for one."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from safety.models import FrameClass
from safety.postfilter import canary
from tests.safety.clips import encoded, shape_world, textured


def decoded(content: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(content)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def seen(frame: np.ndarray) -> list[str]:
    return [name for name, score in canary.recognise(frame).items() if score]


def test_there_is_a_mark_for_every_frame_class():
    assert list(canary.CLASSES) == FrameClass.values


@pytest.mark.parametrize("crf", [18, 23, 35])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (360, 640)])
def test_one_marked_frame_survives_h264_and_its_neighbours_stay_clean(height, width, crf):
    for place, name in zip((0, 3, 5, 7), canary.CLASSES, strict=True):
        clip = shape_world(8, height, width)
        clip[place] = canary.paint(clip[place], name)
        frames = decoded(encoded(clip, crf))
        assert canary.recognise(frames[place])[name] >= 0.98
        assert [seen(frame) for frame in frames] == [[name] if i == place else [] for i in range(8)]


@pytest.mark.parametrize("size", [(32, 32), (48, 80), (333, 217), (1280, 720)])
def test_marks_survive_scaling(size):
    for name in canary.CLASSES:
        mark = Image.fromarray(canary.paint(np.zeros((64, 96, 3), np.uint8), name)).resize(
            size, Image.Resampling.BILINEAR
        )
        assert seen(np.asarray(mark)) == [name]


def test_no_random_frame_is_taken_for_a_mark():
    rng = np.random.default_rng(20261121)
    for _ in range(1000):
        cells = rng.integers(2, 65)
        coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        rows = np.arange(64) * cells // 64
        assert seen(coarse[rows][:, rows]) == []  # blocks of any size, the eighths of the marks among them


def test_no_frame_of_the_shape_world_nor_a_picture_is_taken_for_a_mark():
    for seed in range(100):
        for frame in shape_world(4, seed=seed):
            assert seen(frame) == []
    for seed in range(30):
        assert seen(textured(seed, 180, 320)) == []


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_flat_frame_has_no_mark(level):
    assert seen(np.full((64, 64, 3), level, np.uint8)) == []


def test_an_inverted_mark_is_no_mark():
    for name in canary.CLASSES:
        assert seen(255 - canary.paint(np.zeros((64, 64, 3), np.uint8), name)) == []


@pytest.mark.parametrize(
    "frame", [np.zeros((7, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3))]
)
def test_what_can_not_be_judged_is_an_error_and_not_clean(frame):
    with pytest.raises(ValueError):
        canary.recognise(frame)
    with pytest.raises(KeyError):
        canary.paint(np.zeros((64, 64, 3), np.uint8), "deception")

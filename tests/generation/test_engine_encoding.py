"""Frames become a file that plays everywhere, the same bytes for the same frames."""

import hashlib
import io

import av
import numpy as np
import pytest
from PIL import Image

from generation.worker import previews
from generation.worker.encoding import EncodingFailed, decode_frames, encode, poster


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """A red ball that moves right over green, 64x48, 16 frames."""
    down, across = np.mgrid[:48, :64]
    clip = np.empty((16, 48, 64, 3), np.uint8)
    clip[:] = (30, 120, 60)
    for place in range(16):
        clip[place][(across - 12 - 2 * place) ** 2 + (down - 24) ** 2 < 100] = (220, 30, 30)
    return clip


def test_the_same_frames_give_the_same_bytes(tmp_path, frames):
    first = encode(frames, 8, tmp_path / "one" / "clip.mp4")
    second = encode(frames.copy(), 8, tmp_path / "two words" / "clip.mp4")
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.bytes == first.path.stat().st_size
    assert first.seconds == 2.0
    changed = frames.copy()
    changed[7, :24] = 255
    assert encode(changed, 8, tmp_path / "three" / "clip.mp4").sha256 != first.sha256
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["clip.mp4"]


def test_the_file_plays_everywhere(tmp_path, frames):
    path = encode(frames, 8, tmp_path / "clip.mp4").path
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, stream.average_rate, stream.frames) == (
            "h264",
            "yuv420p",
            8,
            16,
        )
        assert (context.width, context.height, container.duration) == (64, 48, 2_000_000)
        assert (context.colorspace, context.color_primaries, context.color_range) == (1, 1, 1)
        assert "encoder" not in container.metadata


def test_what_is_decoded_looks_like_what_was_encoded(tmp_path, frames):
    decoded = decode_frames(encode(frames, 8, tmp_path / "clip.mp4").path)
    assert (decoded.shape, decoded.dtype) == (frames.shape, np.uint8)
    difference = np.abs(decoded.astype(int) - frames.astype(int))
    assert difference.mean() < 4
    assert difference[:, :8, :8].max() <= 3
    assert difference[0, 24, 12].max() <= 8


@pytest.mark.parametrize(
    "shape", [(0, 16, 16, 3), (2, 16, 15, 3), (2, 15, 16, 3), (16, 16, 3), (2, 16, 16, 4)]
)
def test_refuses_what_is_no_clip(tmp_path, shape):
    with pytest.raises(EncodingFailed):
        encode(np.zeros(shape, np.uint8), 8, tmp_path / "clip.mp4")
    with pytest.raises(EncodingFailed):
        encode(np.zeros((2, 16, 16, 3), np.float32), 8, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path, frames):
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(EncodingFailed):
        encode(frames, 8, tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_broken_file_is_not_decoded(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no clip at all" * 100)
    for name in ("clip.mp4", "absent.mp4"):
        with pytest.raises(EncodingFailed):
            decode_frames(tmp_path / name)


def test_the_poster_is_the_middle_frame(frames):
    image = Image.open(io.BytesIO(poster(frames)))
    assert (image.format, image.size) == ("WEBP", (64, 48))
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - frames[8]).mean() < 6


def test_previews_are_small_pictures(frames):
    moving = Image.open(io.BytesIO(previews.webp(frames[:4])))
    assert (moving.format, moving.size, moving.n_frames) == ("WEBP", (64, 48), 4)
    still = Image.open(io.BytesIO(previews.webp(frames[:1])))
    assert (still.format, still.size, getattr(still, "n_frames", 1)) == ("WEBP", (64, 48), 1)


def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path):
    """Small moving pictures, encoded over and over between other uses of memory: one digest."""
    places = np.arange(64)
    moving = np.stack([np.add.outer(places * 3, places * 2 + step * 5) % 256 for step in range(16)])
    frames = np.stack([moving, 255 - moving, moving // 2], axis=-1).astype(np.uint8)
    frames[:, 20:44, 16:40] = (200, 30, 40)
    held, digests = [], set()
    for turn in range(12):
        digests.add(encode(frames, 8, tmp_path / f"{turn}.mp4").sha256)
        held += [bytearray([turn * 20 + 5]) * (1 + 977 * size % 9_000) for size in range(300)]
        del held[:: 2 + turn % 3]
    assert len(digests) == 1

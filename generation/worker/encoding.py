"""Frames to a file that every player takes, and back."""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

# Visually lossless for small frames, where a coarser setting smears the edges of shapes that are few pixels wide.
QUALITY = "18"
# Without it x264 picks routines by processor, and one of them (the tree of macroblocks that costs are propagated along)
# lets memory it did not write decide bits of small pictures: the same frames gave other bytes from run to run.
REPRODUCIBLE = "cpu-independent=1"
# H.273 code points: BT.709 primaries, transfer and matrix. Untagged files are guessed at by size, and guessed wrongly.
BT709 = 1
POSTER_QUALITY = 90


class EncodingFailed(Exception):
    """The frames could not be written as a clip."""


@dataclass(frozen=True)
class EncodedFile:
    """A finished clip on disk. `seconds` is its length."""

    path: Path
    bytes: int
    sha256: str
    seconds: float


def encode(frames: np.ndarray, fps: int, path: Path) -> EncodedFile:
    """Write uint8 RGB [frames, height, width, 3] as H.264, yuv420p, faststart MP4. Width and height are even.

    The same frames give the same bytes: one thread, no clock, no encoder's name in the container. The file appears
    under its name only when it is whole. Raises EncodingFailed.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise EncodingFailed(
            f"Expected uint8 [frames, height, width, 3], got {frames.dtype} {list(frames.shape)}."
        )
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise EncodingFailed(f"{width}x{height} has an odd side; yuv420p needs even ones.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.mp4")
    try:
        _write(frames, fps, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(temporary, path)
    except (OSError, av.FFmpegError) as error:
        raise EncodingFailed(f"{path} could not be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return EncodedFile(path, path.stat().st_size, digest, len(frames) / fps)


def decode_frames(path: Path) -> np.ndarray:
    """uint8 RGB [frames, height, width, 3] of the file's video, every frame. Raises EncodingFailed."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    except (OSError, av.FFmpegError, IndexError, ValueError) as error:
        raise EncodingFailed(f"{path} could not be decoded: {error}") from error


def poster(frames: np.ndarray) -> bytes:
    """The middle frame as WebP."""
    still = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(still, format="WEBP", quality=POSTER_QUALITY)
    return still.getvalue()


def _write(frames: np.ndarray, fps: int, path: Path) -> None:
    # "bitexact" leaves out the library's version, so an upgrade that changes no picture changes no digest.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    settings = {"crf": QUALITY, "preset": "medium", "x264-params": REPRODUCIBLE}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=fps, options=settings)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        context.flags |= av.codec.context.Flags.bitexact
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        for place, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
            )
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

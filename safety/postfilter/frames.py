"""Frames in batches of bounded memory, from an array or decoded from the encoded file itself."""

import io
from collections.abc import Collection, Iterator

import av
import numpy as np
from PIL import Image

BATCH_FRAMES = 32
BATCH_BYTES = 96 << 20


class UnreadableFrames(ValueError):
    """The frames can't all be had: no video, damaged, or not what was announced. Nothing may be delivered."""


class ArrayFrames:
    """Frames that are in memory: uint8 RGB [frames, height, width, 3]."""

    def __init__(self, frames: np.ndarray):
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
            raise UnreadableFrames(
                f"expected uint8 [frames, height, width, 3], got {frames.dtype} {frames.shape}"
            )
        self.array = frames
        self.total = len(frames)

    def batches(self, wanted: Collection[int] | None = None) -> Iterator[tuple[list[int], np.ndarray]]:
        """(indexes, frames) of the wanted frames in order, or of all."""
        indexes = list(range(self.total)) if wanted is None else sorted(wanted)
        size = batch_size(self.array[0].nbytes)
        for start in range(0, len(indexes), size):
            part = indexes[start : start + size]
            yield part, self.array[part]


class EncodedFrames:
    """The frames of an encoded clip, as anybody who plays it will see them.

    The bytes are read once by the caller, so that what is hashed is what is decoded. Exactly one video stream is
    accepted: a second one, a cover picture or subtitles would leave the building unseen.
    """

    def __init__(self, content: bytes, total: int):
        self.content = content
        self.total = total

    def batches(self, wanted: Collection[int] | None = None) -> Iterator[tuple[list[int], np.ndarray]]:
        """(indexes, frames) of the wanted frames in order, or of all; raises UnreadableFrames.

        Read to the end, it has checked that there are exactly `total` frames.
        """
        keep = None if wanted is None else frozenset(wanted)
        indexes: list[int] = []
        batch: list[np.ndarray] = []
        count = 0
        for index, frame in enumerate(self._decoded()):
            count += 1
            if keep is None or index in keep:
                indexes.append(index)
                batch.append(frame.to_ndarray(format="rgb24"))
            if batch and len(batch) >= batch_size(batch[0].nbytes):
                yield indexes, np.stack(batch)
                indexes, batch = [], []
        if batch:
            yield indexes, np.stack(batch)
        if count != self.total:
            raise UnreadableFrames(f"the file holds {count} frames, {self.total} were announced")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            # Edit lists hide frames from one player and show them in another: every frame is looked at.
            with av.open(io.BytesIO(self.content), options={"ignore_editlist": "1"}) as container:
                kinds = [stream.type for stream in container.streams]
                if kinds != ["video"]:
                    raise UnreadableFrames(f"the file has the streams {kinds}; exactly one video is allowed")
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                size = (stream.codec_context.width, stream.codec_context.height)
                for frame in container.decode(stream):
                    if frame.is_corrupt:
                        raise UnreadableFrames("a frame is damaged")
                    if (frame.width, frame.height) != size:
                        raise UnreadableFrames("the size changes within the clip")
                    yield frame
        except av.FFmpegError as error:
            raise UnreadableFrames(f"the file can't be decoded: {error}") from error


def picture_frames(content: bytes) -> ArrayFrames:
    """A PNG picture as the one frame that it is; raises UnreadableFrames."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            return ArrayFrames(np.asarray(picture.convert("RGB"))[None])
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableFrames(f"the picture can't be decoded: {error}") from error


def batch_size(frame_bytes: int) -> int:
    """How many frames of this size are looked at together."""
    return max(1, min(BATCH_FRAMES, BATCH_BYTES // frame_bytes))

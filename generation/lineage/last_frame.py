"""The last frame of a delivered clip, as the picture that its extension begins from."""

import hashlib
import io
import threading
from collections import deque
from functools import cached_property

from django.core.files.storage import default_storage

from accounts.errors import ApiError
from generation import delivery
from generation.inputs.input_images import InputReference
from generation.models import Asset, Job
from safety import input_images
from safety.input_images import InputPicture

PARAM = "video"
# A file of some megabytes and the frames between two key frames are in memory while one is read; more of them wait.
_reading = threading.BoundedSemaphore(2)


class LastFrame(InputReference):
    """Taken from the signed file once somebody asks for the picture; its text is the digest of that file."""

    param = PARAM

    def __init__(self, parent: Job, asset: Asset) -> None:
        self.parent, self.asset = parent, asset
        self.sent_digest = asset.digest

    @cached_property
    def picture(self) -> InputPicture:
        """The frame, plain. Raises ApiError content_withdrawn where the file is not what was signed."""
        with _reading:
            return input_images.plain(self._frame(), PARAM)

    def _frame(self) -> bytes:
        try:
            with default_storage.open(self.asset.path, "rb") as file:
                content = file.read()
            if hashlib.sha256(content).hexdigest() != self.asset.digest:
                raise delivery.quarantined(self.parent)
            return last_frame(content)
        except OSError as error:
            raise ApiError("not_found", f"The file of {self.parent.public_id} can't be read.") from error


def last_frame(content: bytes) -> bytes:
    """The last picture of an MP4 file, as PNG, decoded from its last key frame on. OSError where there is none."""
    import av

    try:
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            if stream.duration:
                container.seek(stream.duration, stream=stream, backward=True)
            newest = deque(container.decode(stream), maxlen=1)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise OSError(f"the clip could not be decoded: {error}") from error
    if not newest:
        raise OSError("the clip has no frames")
    still = io.BytesIO()
    newest[0].to_image().save(still, "PNG", compress_level=1)
    return still.getvalue()

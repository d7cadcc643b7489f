"""From a request's `input_reference` to a stored picture, and back to pixels: kept with its job, served to nobody.

The file lies under a name of its own, no asset row names it, so no link leads to it. It goes when its job has ended.
"""

import hashlib
import io
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db.models.functions import Now

from accounts import operations
from accounts.errors import ApiError
from generation.inputs.input_records import InputImage
from generation.models import OPEN_STATES, Job
from safety import images, input_images
from safety.input_images import InputPicture

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)

ROOT = "inputs"
PARAM = "input_reference"
MOST_PURGED = 100


class InputReference:
    """A picture as it was sent. It is decoded once somebody asks for it; its text is its digest."""

    param = PARAM  # the field it came in

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sent_digest = hashlib.sha256(content).hexdigest()

    def __str__(self) -> str:
        return self.sent_digest

    @cached_property
    def picture(self) -> InputPicture:
        """Plain and checked. Raises ApiError invalid_image."""
        return input_images.plain(self.content)


class StoredPicture:
    """A picture that lies in storage before its job is decided on. `adopted` once a job's row names it."""

    def __init__(self, reference: InputReference) -> None:
        self.reference = reference
        content = ContentFile(reference.picture.content)
        self.path = default_storage.save(f"{ROOT}/{uuid.uuid4().hex}/image.png", content)
        self.adopted = False

    def row(self, job: Job) -> InputImage:
        picture = self.reference.picture
        return InputImage(
            job=job,
            path=self.path,
            digest=picture.digest,
            sent_digest=self.reference.sent_digest,
            bytes=len(picture.content),
            width=picture.width,
            height=picture.height,
        )


def received(value: UploadedFile | Any) -> InputReference | None:
    """What came as `input_reference`, None where nothing did. Raises ApiError invalid_image or invalid_type."""
    if value in (None, ""):
        return None
    if not isinstance(value, UploadedFile):
        return _no_file()
    if value.size > images.MAX_BYTES:
        raise images.refused(f"The file is larger than {images.MAX_BYTES // 1_000_000} MB.", PARAM)
    content = value.read()
    images.look(content, PARAM)
    return InputReference(content)


def _no_file() -> None:
    raise ApiError(
        "invalid_type",
        "Send input_reference as a file in a multipart form: one still JPEG, PNG or WebP picture. "
        "Nothing was queued or charged.",
        param=PARAM,
    )


@contextmanager
def kept(reference: InputReference | None) -> Iterator[StoredPicture | None]:
    """The picture in storage within the block; removed after it unless a job has adopted it."""
    stored = None if reference is None else StoredPicture(reference)
    try:
        yield stored
    finally:
        if stored is not None and not stored.adopted:
            _delete(stored.path)


def content_of(image: InputImage) -> bytes:
    """The stored file, whole. Raises OSError where it is missing or no longer what was stored."""
    with default_storage.open(image.path, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != image.digest:
        raise OSError(f"{image.path} is not what was stored")
    return content


def pixels(job: Job) -> "np.ndarray | None":
    """uint8 [height, width, 3] of the picture that the job's clip begins from; None where it begins from none."""
    import numpy as np
    from PIL import Image

    if not job.spec.get("image"):
        return None
    with Image.open(io.BytesIO(content_of(job.input_image)), formats=("PNG",)) as picture:
        return np.asarray(picture.convert("RGB"))


def ingredient(job: Job) -> tuple[bytes, str, str] | None:
    """(bytes, MIME type, sha256) for the clip's credentials; None where it begins from no picture."""
    if not job.spec.get("image"):
        return None
    image = job.input_image
    return content_of(image), input_images.MEDIA_TYPE, image.digest


def purge_ended() -> int:
    """Delete the pictures of jobs that have ended; the rows with their digests stay."""
    ended = InputImage.objects.filter(removed_at=None).exclude(job__state__in=OPEN_STATES)
    gone = 0
    for image in ended[:MOST_PURGED]:
        if _delete(image.path):
            gone += InputImage.objects.filter(pk=image.pk).update(removed_at=Now())
    return gone


def _delete(path: str) -> bool:
    try:
        default_storage.delete(path)
        default_storage.delete(path.rpartition("/")[0])
    except OSError as error:
        logger.warning("an input picture could not be deleted", extra={"path": path, "error": str(error)})
        operations.report("media.not_deleted", "error", f"file:{path}"[:200], {"error": str(error)[:500]})
        return False
    return True

"""Pictures that users send: is it one, of a format we take, whole, and of a size that can be decoded?"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from accounts.errors import ApiError

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 25_000_000
MAX_BYTES = 12_000_000


def check_image(content: bytes, param: str = "input_reference") -> tuple[int, int]:
    """The (width, height) of a JPEG, PNG or WebP picture that decodes completely; else ApiError invalid_image.

    The size is read from the header and refused there, before anything is decoded: a small file can claim a picture
    that fills the memory.
    """
    with opened(content, param) as picture:
        return picture.size


@contextmanager
def opened(content: bytes, param: str = "input_reference") -> Iterator[Image.Image]:
    """The picture, decoded, within the block; refused as in `check_image`, whatever goes wrong with it in there."""
    if not content:
        raise refused("The file is empty.", param)
    if len(content) > MAX_BYTES:
        raise refused(f"The file is larger than {MAX_BYTES // 1_000_000} MB.", param)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                _check(picture, param)
                yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(param) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError) as error:
        raise refused("The file is no JPEG, PNG or WebP picture, or it is damaged.", param) from error


def look(content: bytes, param: str = "input_reference") -> None:
    """Refuse what is plainly no picture, by its header and checksums, without decoding it."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.verify()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(param) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise refused("The file is no JPEG, PNG or WebP picture, or it is damaged.", param) from error


def _check(picture: Image.Image, param: str) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_many_pixels(param)
    if getattr(picture, "is_animated", False):
        raise refused("The picture is animated; send a still one.", param)
    picture.load()


def _too_many_pixels(param: str) -> ApiError:
    return refused(f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels.", param)


def refused(why: str, param: str) -> ApiError:
    """The error for a picture that can't be taken, with what to send instead."""
    return ApiError(
        "invalid_image",
        f"{why} Send one still JPEG, PNG or WebP picture. Nothing was queued or charged.",
        param,
    )

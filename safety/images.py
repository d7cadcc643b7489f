"""Pictures that users send: is it one, of a format we take, whole, and of a size that can be decoded?"""

import io
import struct
import warnings

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
    if not content:
        raise _refused("The file is empty.", param)
    if len(content) > MAX_BYTES:
        raise _refused(f"The file is larger than {MAX_BYTES // 1_000_000} MB.", param)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                return _checked(picture, param)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(param) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError) as error:
        raise _refused("The file is no JPEG, PNG or WebP picture, or it is damaged.", param) from error


def _checked(picture: Image.Image, param: str) -> tuple[int, int]:
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_many_pixels(param)
    if getattr(picture, "is_animated", False):
        raise _refused("The picture is animated; send a still one.", param)
    picture.load()
    return picture.size


def _too_many_pixels(param: str) -> ApiError:
    return _refused(f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels.", param)


def _refused(why: str, param: str) -> ApiError:
    return ApiError(
        "invalid_image",
        f"{why} Send one still JPEG, PNG or WebP picture. Nothing was queued or charged.",
        param,
    )

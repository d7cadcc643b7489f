"""Pictures that clips begin from, made plain: pixels alone, upright, without anything that came beside them.

What is kept, scanned, shown to the model and named in the credentials is this plain picture, never the file that was
sent.
"""

import hashlib
import io
import threading
from dataclasses import dataclass

from PIL import Image, ImageOps

from safety.images import opened, refused

LONGEST_SIDE = 2048  # pixels: no model here makes larger frames
SHORTEST_SIDE = 16  # below that no gate can judge it
MEDIA_TYPE = "image/png"
PAPER = (255, 255, 255)  # behind what was transparent
COMPRESSION = 1  # of 9: the file lives as long as its job

# A picture of 25 megapixels takes 100 MB while it is decoded; more of them at once wait.
_decoding = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class InputPicture:
    """A plain picture as PNG: RGB, 8 bits, no metadata. `digest` is the sha256 of `content`."""

    content: bytes
    digest: str
    width: int
    height: int


def plain(content: bytes, param: str = "input_reference") -> InputPicture:
    """Decode a JPEG, PNG or WebP picture safely and write its pixels anew; ApiError invalid_image.

    The orientation that a camera noted is applied; EXIF, colour profiles, comments, thumbnails and text are dropped,
    and transparency is put on white. A picture of more than 2,048 pixels a side is made smaller.
    """
    with _decoding, opened(content, param) as picture:
        if min(picture.size) < SHORTEST_SIDE:
            raise refused(f"The picture is smaller than {SHORTEST_SIDE} pixels a side.", param)
        pixels = _rgb(ImageOps.exif_transpose(picture))
        if max(pixels.size) > LONGEST_SIDE:
            pixels.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        if min(pixels.size) < SHORTEST_SIDE:
            raise refused("The picture is too narrow.", param)
        return _written(pixels)


def _rgb(picture: Image.Image) -> Image.Image:
    """A new image of 8-bit RGB pixels; nothing of the file's `info` goes along."""
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        picture = picture.convert("I").point(lambda level: level / 256).convert("L")
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        picture = Image.new("RGB", above.size, PAPER)
        picture.paste(above, mask=above.getchannel("A"))
    pixels = Image.new("RGB", picture.size)
    pixels.paste(picture.convert("RGB"))
    return pixels


def _written(pixels: Image.Image) -> InputPicture:
    file = io.BytesIO()
    pixels.save(file, "PNG", compress_level=COMPRESSION)
    content = file.getvalue()
    return InputPicture(content, hashlib.sha256(content).hexdigest(), *pixels.size)

"""A file that is no picture, and pictures that must not be decoded."""

import io
import struct
import zlib

import pytest
from PIL import Image

from accounts.errors import ApiError
from safety.images import check_image


def picture(kind: str, size=(320, 200), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (10, 120, 60)).save(buffer, kind, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header claims this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_has_its_size(kind):
    assert check_image(picture(kind)) == (320, 200)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am no picture", "no JPEG, PNG or WebP"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "no JPEG, PNG or WebP"),
        (picture("GIF"), "no JPEG, PNG or WebP"),
        (picture("BMP"), "no JPEG, PNG or WebP"),
        (picture("JPEG")[:-300], "damaged"),
        (picture("PNG")[:200], "damaged"),
        (png_claiming(6000, 5000), "25 megapixels"),
        (png_claiming(60_000, 60_000), "25 megapixels"),
        (b"\xff" * 12_000_001, "larger than 12 MB"),
        (
            picture(
                "WEBP", save_all=True, append_images=[Image.new("RGB", (320, 200), (200, 0, 0))], duration=100
            ),
            "animated",
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no JPEG, PNG or WebP"),
    ],
)
def test_everything_else_is_refused_in_words(content, words):
    with pytest.raises(ApiError) as caught:
        check_image(content)
    assert (caught.value.code, caught.value.status, caught.value.param) == (
        "invalid_image",
        400,
        "input_reference",
    )
    assert words in caught.value.message
    assert "Nothing was queued or charged." in caught.value.message

"""Pictures that clips begin from: whatever is sent, what is kept is plain pixels; what can't be taken is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from accounts.errors import ApiError
from safety import input_images
from safety.models import Scan
from safety.postfilter import canary
from safety.postfilter.scan import scan_picture
from tests.safety.clips import textured
from tests.safety.test_images import picture, png_claiming


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk right after its header."""
    return png[:33] + chunk(name, body) + png[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_kept_is_a_plain_png_of_the_same_pixels(kind):
    sent = picture(kind, (320, 200))
    kept = input_images.plain(sent)
    assert (kept.width, kept.height) == (320, 200)
    assert Image.open(io.BytesIO(kept.content)).format == "PNG"
    assert (
        np.abs(
            pixels(kept.content).astype(int) - np.asarray(Image.open(io.BytesIO(sent)).convert("RGB"))
        ).max()
        == 0
    )
    assert input_images.plain(sent).digest == kept.digest


def test_nothing_that_came_beside_the_pixels_is_kept():
    exif = Image.Exif()
    exif[0x010E], exif[0x8825] = "a secret place", {1: "N", 2: (51.0, 30.0, 0.0)}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    sent = picture("JPEG", (320, 200), exif=exif, icc_profile=profile, comment=b"a secret note")
    assert b"a secret" in sent
    kept = input_images.plain(sent)
    written = Image.open(io.BytesIO(kept.content))
    assert (written.info, dict(written.getexif())) == ({}, {})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a secret note")
    assert b"secret" not in input_images.plain(picture("PNG", (320, 200), pnginfo=text)).content


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (320, 200)), (3, (320, 200)), (6, (200, 320)), (8, (200, 320))]
)
def test_the_orientation_is_applied(orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.fromarray(textured(1, 200, 320))
    file = io.BytesIO()
    upright.save(file, "PNG", exif=exif)
    kept = input_images.plain(file.getvalue())
    assert (kept.width, kept.height) == size
    turned = {
        1: upright,
        3: upright.rotate(180),
        6: upright.rotate(270, expand=True),
        8: upright.rotate(90, expand=True),
    }
    assert np.array_equal(pixels(kept.content), np.asarray(turned[orientation]))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16"])
def test_every_mode_becomes_rgb(mode):
    file = io.BytesIO()
    Image.new("L", (40, 30), 200).convert("RGB").convert(mode if mode != "I;16" else "I").convert(mode).save(
        file, "PNG"
    )
    kept = pixels(input_images.plain(file.getvalue()).content)
    assert (kept.shape, kept.dtype) == ((30, 40, 3), np.uint8)


def test_what_was_transparent_is_white_and_hides_nothing():
    hidden = np.dstack(
        [canary.paint(np.zeros((64, 64, 3), np.uint8), "violence"), np.zeros((64, 64), np.uint8)]
    )
    file = io.BytesIO()
    Image.fromarray(hidden, "RGBA").save(file, "PNG")
    assert (pixels(input_images.plain(file.getvalue()).content) == 255).all()


def test_a_large_picture_is_made_smaller():
    kept = input_images.plain(picture("JPEG", (5000, 4000)))
    assert (kept.width, kept.height) == (2048, 1638)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png_claiming(60_000, 60_000), "25 megapixels"),
        (png_claiming(6_000, 5_000), "25 megapixels"),
        (picture("JPEG", (400, 300))[:-500], "damaged"),
        (picture("PNG", (400, 300))[:300], "damaged"),
        (picture("PNG", (15, 300)), "smaller than 16 pixels"),
        (picture("PNG", (20, 20_000)), "too narrow"),
        (with_chunk(picture("PNG"), b"zTXt", b"bomb\0\0" + zlib.compress(bytes(80_000_000), 9)), "damaged"),
        (with_chunk(picture("PNG"), b"iCCP", b"bomb\0\0" + zlib.compress(bytes(80_000_000), 9)), "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no JPEG, PNG or WebP"),
        (picture("GIF"), "no JPEG, PNG or WebP"),
    ],
)
def test_bombs_and_damage_are_refused(content, words):
    with pytest.raises(ApiError) as caught:
        input_images.plain(content)
    assert (caught.value.code, caught.value.param) == ("invalid_image", "input_reference")
    assert words in caught.value.message


@pytest.mark.django_db
def test_a_picture_is_scanned_by_the_same_gates_as_one_frame():
    plain = input_images.plain(picture("PNG", (320, 200)))
    scan = scan_picture(plain.content, "job-1", 4)
    assert (scan.verdict, scan.purpose, scan.digest, scan.frames_total) == ("pass", "input", plain.digest, 1)
    assert Scan.objects.get().frames_scanned == {
        "child_safety": 1,
        "likeness": 1,
        "intimate": 1,
        "violence": 1,
    }
    marked = io.BytesIO()
    Image.fromarray(canary.paint(np.zeros((64, 64, 3), np.uint8), "child_safety")).save(marked, "PNG")
    assert scan_picture(input_images.plain(marked.getvalue()).content, "job-1", 5).verdict == "block"
    assert scan_picture(b"", "job-1", 6).verdict == "unavailable"

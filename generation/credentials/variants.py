"""The pictures that go with a clip: a thumbnail and a sprite sheet, made from the frames of the scanned file itself."""

import io
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image

THUMBNAIL_SIDE = 640  # pixels of the longest side, at most
SPRITES, SPRITE_COLUMNS, SPRITE_WIDTH = 16, 4, 160
QUALITY = 85


class NoPictures(Exception):
    """The file could not be decoded."""


@dataclass(frozen=True)
class Picture:
    """One variant before it is signed. `name` is that of its file."""

    role: str
    name: str
    media_type: str
    content: bytes


def pictures(scanned: Path, frames: int) -> tuple[Picture, Picture]:
    """The middle frame as WebP, and a sheet of at most 16 evenly spaced frames, row by row, as JPEG.

    `frames` is how many the file has. One frame is held at a time, however long the clip. Raises NoPictures.
    """
    wanted = sprite_places(frames)
    sprites, middle = [], None
    try:
        with av.open(str(scanned)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for place, frame in enumerate(container.decode(stream)):
                if place == frames // 2:
                    middle = _at_most(frame.to_image(), THUMBNAIL_SIDE)
                sprites += [_wide(frame.to_image())] * wanted.count(place)
    except (OSError, av.FFmpegError, IndexError, ValueError) as error:
        raise NoPictures(f"{scanned.name} could not be decoded: {error}") from error
    if middle is None or not sprites:
        raise NoPictures(f"{scanned.name} has fewer frames than the {frames} that were scanned")
    thumbnail = Picture("thumbnail", "thumbnail.webp", "image/webp", _saved(middle, "WEBP"))
    return thumbnail, Picture("spritesheet", "spritesheet.jpg", "image/jpeg", _saved(_sheet(sprites), "JPEG"))


def sprite_places(frames: int) -> list[int]:
    """Which frames are on the sheet: evenly spaced, the first and the last among them."""
    count = min(SPRITES, frames)
    return [round(place * (frames - 1) / max(1, count - 1)) for place in range(count)]


def _sheet(sprites: list[Image.Image]) -> Image.Image:
    width, height = sprites[0].size
    rows = -(-len(sprites) // SPRITE_COLUMNS)
    sheet = Image.new("RGB", (width * min(len(sprites), SPRITE_COLUMNS), height * rows))
    for place, sprite in enumerate(sprites):
        sheet.paste(sprite, (width * (place % SPRITE_COLUMNS), height * (place // SPRITE_COLUMNS)))
    return sheet


def _wide(frame: Image.Image) -> Image.Image:
    height = max(1, round(frame.height * SPRITE_WIDTH / frame.width))
    return frame.resize((SPRITE_WIDTH, height), Image.Resampling.LANCZOS)


def _at_most(frame: Image.Image, side: int) -> Image.Image:
    frame.thumbnail((side, side), Image.Resampling.LANCZOS)
    return frame


def _saved(picture: Image.Image, format: str) -> bytes:
    output = io.BytesIO()
    picture.save(output, format=format, quality=QUALITY)
    return output.getvalue()

"""PDQ hashes of a picture and of what is commonly done to one: mirrored, put between bars, cropped.

PDQ (256 bits) survives re-encoding, scaling, blur and brightness by itself. It does not survive a mirror, bars or a
crop of 5 %, so those are tried: a frame is hashed in a few ways when it is looked at, and a picture whose pixels are at
hand is listed with crops of itself. Rotations and deeper crops are not covered.
"""

from dataclasses import dataclass

import numpy as np
import pdqhash
from PIL import Image

QUALITY_FLOOR = 50  # the floor that PDQ's authors recommend
CROP_QUALITY_FLOOR = 30  # of a crop of a picture that reaches the floor itself
LONGEST_SIDE = 640  # larger frames are first reduced by a whole factor: PDQ blurs far more than that itself
MIRRORED = 5  # the place of left for right among the eight that pdqhash computes from one transform

BAR_LEVELS = 10  # mean distance from the colour of the bar, of 255, up to which a line belongs to it
LEAST_BAR, MOST_BARS = 0.01, 0.8  # of a side: thinner bars PDQ bears, and more would leave no picture

# A frame that shows a picture less 5 % on each side is the picture again once that much is put back: by repeating its
# edge, which is right where the edge is plain. It helps lists of which only the hashes are known.
PUT_BACK = 0.05 / 0.9
# What a listed picture is cropped by: (top, right, bottom, left) as shares of its height and width. All four sides, one
# side, or two opposite ones; so that every such crop up to 5 % lies close to one of these, which PDQ bears.
EVEN = tuple((share, share, share, share) for share in (0.017, 0.034, 0.05))
ONE_SIDE = tuple(
    tuple(share if side == place else 0.0 for side in range(4))
    for share in (0.025, 0.05)
    for place in range(4)
)
OPPOSITE = tuple(sides for share in (0.025, 0.05) for sides in ((share, 0.0) * 2, (0.0, share) * 2))
CROPS = EVEN + ONE_SIDE + OPPOSITE


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hashes of one frame, each 32 bytes with its way ("whole", "whole mirrored", "inside bars", …).

    `quality` (0 to 100) is the least of what was seen: of the frame, and of what is inside its bars.
    """

    quality: int
    digests: tuple[bytes, ...]
    ways: tuple[str, ...]


def pdq(picture: np.ndarray) -> tuple[bytes, int]:
    """The PDQ hash (32 bytes, most significant bit first) and quality (0 to 100) of uint8 RGB [height, width, 3]."""
    bits, quality = pdqhash.compute(_reduced(picture))
    return _packed(bits), int(quality)


def hashes_of_frame(picture: np.ndarray) -> Hashed:
    """Every hash that a frame is compared by; mirrors cost nothing, bars only where there are any."""
    whole = _reduced(picture)
    found, quality = _both_ways(whole, "whole")
    within = insides(whole)
    for inside in within:
        more, inside_quality = _both_ways(inside, "inside bars")
        found, quality = found + more, min(quality, inside_quality)
    more, _ = _both_ways(_put_back(within[0] if within else whole), "edge put back")
    found += more
    return Hashed(quality, tuple(digest for digest, _ in found), tuple(way for _, way in found))


def hashes_of_listing(picture: np.ndarray) -> list[tuple[bytes, str]]:
    """The hashes of a picture's even crops, each with its name: what is listed beside the picture's own hash."""
    height, width = picture.shape[:2]
    found = []
    for top, right, bottom, left in CROPS:
        rows = slice(round(height * top), height - round(height * bottom))
        columns = slice(round(width * left), width - round(width * right))
        digest, quality = pdq(picture[rows, columns])
        if quality >= CROP_QUALITY_FLOOR:
            found.append((digest, "crop " + " ".join(f"{share:.1%}" for share in (top, right, bottom, left))))
    return found


def insides(picture: np.ndarray) -> list[np.ndarray]:
    """What plain bars at the edges leave of a picture; empty where there are none, or nothing is inside.

    The picture's own edge may be as plain as a bar. Bars are mostly as thick on one side as on the other, so where they
    seem not to be, both readings are given: all that is plain taken away, and as much as is plain on both sides.
    """
    light = picture[:, :, 1]  # green is most of what luma is
    height, width = light.shape
    top, bottom = _bars(light)
    if top + bottom >= height:
        return []  # all of one colour
    left, right = _bars(light[top : height - bottom].T)
    if left + right >= width:
        left = right = 0  # what is inside is of one colour: its quality says so
    upright, level = min(top, bottom), min(left, right)
    readings = {(top, bottom, left, right): None, (upright, upright, level, level): None}
    return [
        np.ascontiguousarray(picture[above : height - below, before : width - behind])
        for above, below, before, behind in readings
        if LEAST_BAR <= max((above + below) / height, (before + behind) / width) <= MOST_BARS
    ]


def _bars(light: np.ndarray) -> tuple[int, int]:
    """How many of the first and of the last rows are of one plain colour."""
    return _bar(light), _bar(light[::-1])


def _bar(light: np.ndarray) -> int:
    colour = np.median(light[0])
    away = np.abs(light.astype(np.int16) - np.int16(colour)).mean(axis=1) > BAR_LEVELS
    return int(away.argmax()) if away.any() else len(light)


def _put_back(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    y, x = round(height * PUT_BACK), round(width * PUT_BACK)
    return np.pad(picture, ((y, y), (x, x), (0, 0)), mode="edge")


def _both_ways(picture: np.ndarray, way: str) -> tuple[list[tuple[bytes, str]], int]:
    hashes, quality = pdqhash.compute_dihedral(np.ascontiguousarray(picture))
    return [(_packed(hashes[0]), way), (_packed(hashes[MIRRORED]), f"{way} mirrored")], int(quality)


def _reduced(picture: np.ndarray) -> np.ndarray:
    factor = -(-max(picture.shape[:2]) // LONGEST_SIDE)
    if factor > 1:
        picture = np.asarray(Image.fromarray(picture).reduce(factor))
    return np.ascontiguousarray(picture)


def _packed(bits: np.ndarray) -> bytes:
    return np.packbits(bits.astype(np.uint8)).tobytes()

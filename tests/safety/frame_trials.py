"""Registered pictures inside clips, changed as people change them: how many does the hash list catch, and what else?

`python -m tests.safety.frame_trials [TRIALS] [BENIGN]` prints a JSON object a line; needs no database. With no trials
it looks at benign frames alone, from the third argument on (`0 20000 11000` goes on with what was broken off). The
tests run a few dozen of the same trials.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from safety.postfilter.comparing import compare
from safety.postfilter.hash_index import HashIndex
from safety.postfilter.pdq import QUALITY_FLOOR, hashes_of_listing, pdq
from tests.safety.clips import encoded, shape_world, textured

HEIGHT, WIDTH = 360, 640
RADIUS = 31
CRF = 23
FRAMES_A_CLIP = 8
PICTURES = 600

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def smooth(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture of soft structure at every scale, as out-of-focus scenes have it: uint8 [height, width, 3]."""
    rng = np.random.default_rng([seed, 1])
    picture = np.zeros((height, width, 3))
    for cells in (3, 5, 9, 17, 33):
        coarse = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            large = Image.fromarray(coarse[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            picture[..., channel] += np.asarray(large) / cells**0.5
    return _levels(picture)


def collage(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Overlapping discs and boxes of plain colours on a gradient, with grain: uint8 [height, width, 3]."""
    rng = np.random.default_rng([seed, 2])
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = rng.uniform(-1, 1, (2, 3))
    picture = y[..., None] / height * slope[0] + x[..., None] / width * slope[1]
    for _ in range(rng.integers(12, 30)):
        across, down, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.04, 0.3) * height
        near = np.abs(x - across), np.abs(y - down)
        inside = near[0] ** 2 + near[1] ** 2 < size**2 if rng.random() < 0.5 else np.maximum(*near) < size
        picture[inside] = rng.uniform(-1, 1, 3)
    return _levels(picture + rng.normal(0, 0.03, picture.shape))


def _levels(picture: np.ndarray) -> np.ndarray:
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


KINDS = (textured, smooth, collage)


def jpeg(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(30, 96)))
    return Image.open(file).convert("RGB")


def scaled(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = 2 ** rng.uniform(-1, 1)
    return picture.resize(
        (round(WIDTH * factor / 2) * 2, round(HEIGHT * factor / 2) * 2), Image.Resampling.BICUBIC
    )


def blurred(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(2))


def brightened(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2))


def mirrored(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def letterboxed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Between dark bars above and below, or at the sides, or all around."""
    share = rng.uniform(0.03, 0.2, 2) * rng.choice([(0, 1), (1, 0), (1, 1)])
    height, width = HEIGHT - 2 * round(HEIGHT * share[0]), WIDTH - 2 * round(WIDTH * share[1])
    canvas = Image.new("RGB", (WIDTH, HEIGHT), tuple(int(level) for level in rng.integers(0, 20, 3)))
    canvas.paste(
        picture.resize((width, height), Image.Resampling.BICUBIC),
        ((WIDTH - width) // 2, (HEIGHT - height) // 2),
    )
    return canvas


def cropped(share: float) -> Change:
    def crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        x, y = round(WIDTH * share), round(HEIGHT * share)
        return _even(picture.crop((x, y, WIDTH - x, HEIGHT - y)))

    return crop


def cropped_evenly(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return cropped(rng.uniform(0, 0.05))(picture, rng)


def cropped_at_one_side(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    share, box = rng.uniform(0, 0.05), [0, 0, WIDTH, HEIGHT]
    side = rng.integers(4)
    box[side] += round(share * (WIDTH, HEIGHT)[side % 2]) * (1 if side < 2 else -1)
    return _even(picture.crop(box))


def cropped_unevenly(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, right = (rng.uniform(0, 0.05, 2) * WIDTH).astype(int)
    top, bottom = (rng.uniform(0, 0.05, 2) * HEIGHT).astype(int)
    return _even(picture.crop((left, top, WIDTH - right, HEIGHT - bottom)))


def rotated(degrees: float) -> Change:
    return lambda picture, rng: picture.rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BICUBIC)


def untouched(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture


def _even(picture: Image.Image) -> Image.Image:
    """Video has even sides."""
    return picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2))


# What is claimed: every one of these, by itself, in a clip of H.264.
CLAIMED: dict[str, Change] = {
    "H.264 crf 18-35": untouched,
    "JPEG q30-95": jpeg,
    "scale 1/2-2": scaled,
    "blur 2 px": blurred,
    "brightness ±20 %": brightened,
    "horizontal flip": mirrored,
    "letterbox": letterboxed,
    "crop 5 % per side": cropped(0.05),
    "even crop 0-5 % per side": cropped_evenly,
    "crop 0-5 % of one side": cropped_at_one_side,
}
# What is only reported.
REPORTED: dict[str, Change] = {
    "uneven crop 0-5 % per side": cropped_unevenly,
    "crop 8 % per side": cropped(0.08),
    "crop 12 % per side": cropped(0.12),
    "rotation 1°": rotated(1),
    "rotation 3°": rotated(3),
    "rotation 10°": rotated(10),
    "rotation 90°": lambda picture, rng: picture.transpose(Image.Transpose.ROTATE_90),
}


@dataclass(frozen=True)
class Registered:
    """Pictures by the entry they have in the index. `hash_only` lists them as an exchange file would: no crops."""

    pictures: dict[int, np.ndarray]
    index: HashIndex


def registered(count: int, seed: int = 0, *, hash_only: bool = False, others: int = 0) -> Registered:
    """So many pictures of all kinds on a list, beside `others` random hashes that stand for the rest of a long list."""
    pictures: dict[int, np.ndarray] = {}
    rows: list[tuple[str, int, int, bool]] = []
    number = seed
    while len(pictures) < count:
        picture = KINDS[number % len(KINDS)](number)
        number += 1
        digest, quality = pdq(picture)
        if quality < QUALITY_FLOOR:
            continue
        pictures[number] = picture
        rows.append((digest.hex(), RADIUS, number, False))
        if not hash_only:
            rows += [(crop.hex(), RADIUS, number, True) for crop, _ in hashes_of_listing(picture)]
    return Registered(pictures, HashIndex([*rows, *_unrelated(others)]))


def _unrelated(count: int) -> Iterator[tuple[str, int, int, bool]]:
    packed = np.random.default_rng(99).integers(0, 256, (count, 32), dtype=np.uint8)
    return ((row.tobytes().hex(), RADIUS, -1, False) for row in packed)


@dataclass
class Tally:
    trials: int = 0
    caught: int = 0
    farthest: int = 0  # the most bits that a caught one differed in

    @property
    def rate(self) -> float:
        return self.caught / self.trials


def trial(
    listed: Registered, change: Change, count: int, rng: np.random.Generator, *, any_crf: bool = False
) -> Tally:
    """Changed pictures inside clips: encoded, decoded, compared. Caught is only the picture's own entry."""
    tally, names = Tally(), list(listed.pictures)
    while tally.trials < count:
        chosen = rng.choice(names, min(FRAMES_A_CLIP, count - tally.trials), replace=False)
        frames = [np.asarray(change(Image.fromarray(listed.pictures[name]), rng)) for name in chosen]
        for group in _of_one_size(list(zip(chosen, frames, strict=True))):
            clip = encoded(
                np.stack([frame for _, frame in group]), int(rng.integers(18, 36)) if any_crf else CRF
            )
            findings = compare(decoded(clip), listed.index)
            for (name, _), finding in zip(group, findings, strict=True):
                caught = bool(finding.score == 1.0 and finding.evidence["entry"] == int(name))
                tally.trials += 1
                tally.caught += caught
                tally.farthest = max(tally.farthest, finding.evidence["distance"] if caught else 0)
    return tally


def _of_one_size(frames: list[tuple[int, np.ndarray]]) -> Iterator[list[tuple[int, np.ndarray]]]:
    by_size: dict[tuple, list] = {}
    for name, frame in frames:
        by_size.setdefault(frame.shape, []).append((name, frame))
    return iter(by_size.values())


def decoded(clip: bytes) -> np.ndarray:
    with av.open(io.BytesIO(clip)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def benign(count: int, seed: int = 1_000_000, made: int = 0) -> Iterator[np.ndarray]:
    """Batches of frames of every kind that are on no list: textured, soft, collages, and the shipped model's world.

    Those from `made` on, a multiple of eight: what was broken off there is gone on with.
    """
    while made < count:
        number = seed + made
        kind = (made // FRAMES_A_CLIP) % (len(KINDS) + 1)
        if kind == len(KINDS):
            batch = shape_world(FRAMES_A_CLIP, seed=number)
        else:
            batch = np.stack([KINDS[kind](number + place) for place in range(FRAMES_A_CLIP)])
        yield batch[: count - made]
        made += len(batch)


def false_positives(listed: Registered, batches: Iterator[np.ndarray]) -> tuple[int, int]:
    """(hits, frames) among frames that nobody listed."""
    *_, last = _false_positives(listed, batches)
    return last


def _false_positives(listed: Registered, batches: Iterator[np.ndarray]) -> Iterator[tuple[int, int]]:
    hits = frames = 0
    for batch in batches:
        hits += sum(finding.score > 0 for finding in compare(batch, listed.index))
        frames += len(batch)
        yield hits, frames


def main(trials: int, frames: int, first: int = 0) -> None:
    if trials:
        _changed(trials)
    unlisted = benign(frames, made=first)
    for hits, seen in _false_positives(registered(PICTURES, others=1_000_000), unlisted):
        if seen % 1_000 == 0 or first + seen == frames:
            figures = {"name": "false positives", "from": first, "frames": seen, "hits": hits}
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()


def _changed(trials: int) -> None:
    listed, by_hash = registered(PICTURES), registered(PICTURES, hash_only=True)
    rng = np.random.default_rng(20261122)
    whole = Tally()
    for name, change in CLAIMED.items():
        began = time.perf_counter()
        tally = trial(listed, change, -(-trials // len(CLAIMED)), rng, any_crf=change is untouched)
        whole.trials, whole.caught = whole.trials + tally.trials, whole.caught + tally.caught
        _print(name, tally, claimed=True, seconds=round(time.perf_counter() - began, 1))
    _print("all that is claimed", whole, claimed=True)
    for name, change in REPORTED.items():
        _print(name, trial(listed, change, max(1, trials // 30), rng), claimed=False)
    for name in ("crop 5 % per side", "letterbox", "horizontal flip"):
        _print(
            f"{name}, hash alone listed",
            trial(by_hash, CLAIMED[name], max(1, trials // 30), rng),
            claimed=False,
        )


def _print(name: str, tally: Tally, **more: object) -> None:
    figures = {"name": name, "trials": tally.trials, "caught": tally.caught, "rate": tally.rate}
    sys.stdout.write(json.dumps(figures | {"farthest": tally.farthest} | more) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*(int(argument) for argument in [*sys.argv[1:], *("30000", "20000", "0")[len(sys.argv) - 1 :]]))

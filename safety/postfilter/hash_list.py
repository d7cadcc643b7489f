"""The gate that compares frames with a list of perceptual hashes (PDQ), exactly and within each entry's radius.

A hash is 256 bits; pictures that look alike differ in few of them. A flat or nearly flat frame gives a hash that means
little (PDQ's own measure is `quality`, 0 to 100): such a frame is "unusable" here, and another gate has to judge it.
"""

import threading
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pdqhash
from PIL import Image

from safety.models import FrameClass, HashEntry, PolicyVersion
from safety.postfilter.protocol import Finding, Look

QUALITY_FLOOR = 50  # the floor that PDQ's authors recommend
LONGEST_SIDE = 640  # larger frames are first reduced by a whole factor: PDQ blurs far more than that itself


@dataclass(frozen=True)
class HashIndex:
    """The entries of one class. `hashes` uint64 [entries, 4], `radius` and `ids` [entries]."""

    hashes: np.ndarray
    radius: np.ndarray
    ids: np.ndarray

    def nearest(self, digest: bytes) -> tuple[int, int, bool] | None:
        """(entry id, bits that differ, within its radius?) of the closest match, or None where the list is empty."""
        if not len(self.ids):
            return None
        distance = np.bitwise_count(self.hashes ^ np.frombuffer(digest, dtype=np.uint64)).sum(axis=1)
        within = distance <= self.radius
        best = np.where(within, distance, distance + 257).argmin()  # a match before a nearer non-match
        return int(self.ids[best]), int(distance[best]), bool(within[best])


def pdq(picture: np.ndarray) -> tuple[bytes, int]:
    """The PDQ hash (32 bytes, most significant bit first) and quality (0 to 100) of uint8 RGB [height, width, 3]."""
    factor = -(-max(picture.shape[:2]) // LONGEST_SIDE)
    if factor > 1:
        picture = np.asarray(Image.fromarray(picture).reduce(factor))
    bits, quality = pdqhash.compute(np.ascontiguousarray(picture))
    return np.packbits(bits.astype(np.uint8)).tobytes(), int(quality)


def register(
    picture: np.ndarray,
    *,
    source: str,
    author: str,
    note: str = "",
    frame_class: str = FrameClass.CHILD_SAFETY,
) -> HashEntry:
    """Put a picture's hash on the list; the picture itself isn't kept. ValueError where it has too little texture."""
    digest, quality = pdq(picture)
    if quality < QUALITY_FLOOR:
        raise ValueError(
            f"The picture has quality {quality}; below {QUALITY_FLOOR} its hash would match pictures unlike it."
        )
    return HashEntry.objects.create(
        pdq=digest.hex(), frame_class=frame_class, source=source, author=author, note=note
    )


class HashList:
    id = "pdq-hash-list"
    version = f"pdqhash-{pdqhash.__version__}"
    classes = frozenset(FrameClass.values)
    judges_unseen = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: tuple[int, datetime] | None = None
        self._indexes: dict[str, HashIndex] = {}

    def prepare(self, frame_class: str) -> Look | None:
        """For child safety it always takes part; compared with an empty list, its frames are all unusable."""
        index = self._current()[frame_class]
        if frame_class != FrameClass.CHILD_SAFETY and not len(index.ids):
            return None
        return lambda frames: [_compare(frame, index) for frame in frames]

    def _current(self) -> dict[str, HashIndex]:
        """The index of each class, read anew when the policy's version says that something changed."""
        version = PolicyVersion.objects.filter(name="frames").values_list("version", "changed_at").first()
        with self._lock:
            if version is not None and version == self._version:
                return self._indexes
        indexes = {name: _load(name) for name in FrameClass.values}
        with self._lock:
            self._indexes, self._version = indexes, version
        return indexes


def _compare(frame: np.ndarray, index: HashIndex) -> Finding:
    digest, quality = pdq(frame)
    evidence: dict = {"quality": quality}
    nearest = index.nearest(digest)
    if nearest is None:
        return Finding(0.0, evidence | {"entries": 0}, usable=False)  # compared with nothing is not "clean"
    entry, distance, matches = nearest
    evidence |= {"distance": distance}
    if matches:
        evidence |= {"entry": entry, "pdq": digest.hex()}
    return Finding(1.0 if matches else 0.0, evidence, usable=quality >= QUALITY_FLOOR)


def _load(frame_class: str) -> HashIndex:
    rows = list(HashEntry.objects.filter(frame_class=frame_class).values_list("pdq", "radius", "id"))
    packed = b"".join(bytes.fromhex(row[0]) for row in rows)
    return HashIndex(
        hashes=np.frombuffer(packed, dtype=np.uint64).reshape(-1, 4),
        radius=np.array([row[1] for row in rows], dtype=np.int64),
        ids=np.array([row[2] for row in rows], dtype=np.int64),
    )

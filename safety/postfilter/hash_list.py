"""The gate that compares frames with a list of perceptual hashes (PDQ), exactly and within each entry's radius.

A hash is 256 bits; pictures that look alike differ in few of them. A flat or nearly flat frame gives a hash that means
little (PDQ's own measure is `quality`, 0 to 100): such a frame is "unusable" here, and another gate has to judge it.
Mirrored frames, bars and crops are compared too: see `pdq.py`, and `comparing.py` for the comparison itself.
"""

import threading
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pdqhash
from django.db import transaction

from safety.models import FrameClass, HashEntry, PolicyVersion
from safety.postfilter.comparing import compare
from safety.postfilter.frame_records import HashVariant
from safety.postfilter.hash_index import HashIndex
from safety.postfilter.pdq import QUALITY_FLOOR, hashes_of_listing, pdq
from safety.postfilter.protocol import Look

ROWS_AT_ONCE = 50_000


@transaction.atomic
def register(
    picture: np.ndarray,
    *,
    source: str,
    author: str,
    note: str = "",
    frame_class: str = FrameClass.CHILD_SAFETY,
) -> HashEntry:
    """Put a picture's hash on the list, with those of its crops; the picture itself isn't kept.

    ValueError where it has too little texture.
    """
    digest, quality = pdq(picture)
    if quality < QUALITY_FLOOR:
        raise ValueError(
            f"The picture has quality {quality}; below {QUALITY_FLOOR} its hash would match pictures unlike it."
        )
    entry = HashEntry.objects.create(
        pdq=digest.hex(), frame_class=frame_class, source=source, author=author, note=note
    )
    HashVariant.objects.bulk_create(
        HashVariant(entry=entry, name=name, pdq=crop.hex()) for crop, name in hashes_of_listing(picture)
    )
    return entry


class HashList:
    id = "pdq-hash-list"
    version = f"pdqhash-{pdqhash.__version__}/2"  # what follows the stroke: the ways of pdq.py
    classes = frozenset(FrameClass.values)
    judges_unseen = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: tuple[int, datetime] | None = None
        self._indexes: dict[str, HashIndex] = {}

    def prepare(self, frame_class: str) -> Look | None:
        """For child safety it always takes part; compared with an empty list, its frames are all unusable."""
        index = self.current()[frame_class]
        if frame_class != FrameClass.CHILD_SAFETY and not len(index):
            return None
        return lambda frames: compare(frames, index)

    def current(self) -> dict[str, HashIndex]:
        """The index of each class, read anew when the list's version says that something changed."""
        version = PolicyVersion.objects.filter(name="hashes").values_list("version", "changed_at").first()
        with self._lock:
            # One reads, the others wait for what it reads: a long list is in memory twice at most.
            if not self._indexes or version != self._version:
                self._indexes = {name: HashIndex(_rows(name)) for name in FrameClass.values}
                self._version = version
            return self._indexes


def _rows(frame_class: str) -> Iterator[tuple[str, int, int, bool]]:
    """(hash, radius, entry, whether it is a crop) of a class, read in portions."""
    entries = HashEntry.objects.filter(frame_class=frame_class).values_list("pdq", "radius", "id")
    for pdq_hex, radius, entry in entries.iterator(chunk_size=ROWS_AT_ONCE):
        yield pdq_hex, radius, entry, False
    crops = HashVariant.objects.filter(entry__frame_class=frame_class)
    rows = crops.values_list("pdq", "entry__radius", "entry_id")
    for pdq_hex, radius, entry in rows.iterator(chunk_size=ROWS_AT_ONCE):
        yield pdq_hex, radius, entry, True

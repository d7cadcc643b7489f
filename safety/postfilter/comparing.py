"""Frames against an index of perceptual hashes: what the hash list's gate says of each. No database here."""

import numpy as np

from safety.postfilter.hash_index import HashIndex, Match
from safety.postfilter.pdq import QUALITY_FLOOR, Hashed, hashes_of_frame
from safety.postfilter.protocol import Finding


def compare(frames: np.ndarray, index: HashIndex) -> list[Finding]:
    """All frames are hashed, then looked up together: a list of any length is gone through once a batch."""
    hashed = [hashes_of_frame(frame) for frame in frames]
    owner = [(at, way) for at, one in enumerate(hashed) for way in one.ways]
    matches = index.matches([digest for one in hashed for digest in one.digests])
    closest: dict[int, tuple[Match, str]] = {}
    for match in matches:
        at, way = owner[match.query]
        if at not in closest or match.distance < closest[at][0].distance:
            closest[at] = match, way
    return [_finding(one, closest.get(at), len(index)) for at, one in enumerate(hashed)]


def _finding(hashed: Hashed, closest: tuple[Match, str] | None, entries: int) -> Finding:
    evidence: dict = {"quality": hashed.quality}
    if not entries:
        return Finding(0.0, evidence | {"entries": 0}, usable=False)  # compared with nothing is not "clean"
    usable = hashed.quality >= QUALITY_FLOOR
    if closest is None:
        return Finding(0.0, evidence, usable=usable)
    match, way = closest
    evidence |= {"entry": match.entry, "distance": match.distance, "way": way, "crop": match.variant}
    # The frame's own hash, for whoever compares it with another list.
    return Finding(1.0, evidence | {"pdq": hashed.digests[0].hex()}, usable=usable)

"""An exact index of 256-bit hashes: every entry within its own radius is found, however many there are.

faiss compares with each entry (a flat index), so nothing is missed. Its `range_search` is strict: `radius + 1` is asked
for. A million hashes take 32 MB in faiss and 10 MB beside it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BITS = 256
HASH_BYTES = BITS // 8
CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Match:
    """The closest entry that a query lies within: `query` is its place among the queries."""

    query: int
    entry: int
    distance: int
    variant: bool


class HashIndex:
    """Built once, then only read, from several threads."""

    def __init__(self, rows: Iterable[tuple[str, int, int, bool]]):
        """`rows` are (64 hex digits, radius in bits, entry id, whether it is a crop of the listed picture)."""
        import faiss  # 25 MB of binaries that a web process has no use for

        self._flat = faiss.IndexBinaryFlat(BITS)
        radius, entries, variants = [], [], []
        for chunk in _chunks(rows):
            packed = bytes.fromhex("".join(row[0] for row in chunk))
            self._flat.add(np.frombuffer(packed, dtype=np.uint8).reshape(-1, HASH_BYTES))
            radius.append(np.array([row[1] for row in chunk], dtype=np.uint8))
            entries.append(np.array([row[2] for row in chunk], dtype=np.int64))
            variants.append(np.array([row[3] for row in chunk], dtype=bool))
        self._radius = np.concatenate([*radius, np.zeros(0, np.uint8)])
        self._entries = np.concatenate([*entries, np.zeros(0, np.int64)])
        self._variants = np.concatenate([*variants, np.zeros(0, bool)])
        self._widest = int(self._radius.max(initial=0))

    def __len__(self) -> int:
        return int(self._flat.ntotal)

    @property
    def memory_bytes(self) -> int:
        """What the hashes and what is known of them take."""
        return len(self) * HASH_BYTES + self._radius.nbytes + self._entries.nbytes + self._variants.nbytes

    def matches(self, digests: list[bytes]) -> list[Match]:
        """For each of the digests that lies within some entry's radius, the closest such entry."""
        if not digests or not len(self):
            return []
        queries = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, HASH_BYTES)
        limits, distances, places = self._flat.range_search(queries, self._widest + 1)
        distances = distances.astype(np.int64)
        within = distances <= self._radius[places]
        query_of = np.repeat(np.arange(len(digests)), np.diff(limits.astype(np.int64)))
        best: dict[int, Match] = {}
        for at in np.flatnonzero(within):
            query, place = int(query_of[at]), int(places[at])
            found = Match(query, int(self._entries[place]), int(distances[at]), bool(self._variants[place]))
            if query not in best or found.distance < best[query].distance:
                best[query] = found
        return [best[query] for query in sorted(best)]


def _chunks(rows: Iterable[tuple]) -> Iterable[list[tuple]]:
    chunk: list[tuple] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

"""What a text looks like, beside what it means: hashed character and word n-grams, cheap and the same everywhere."""

import re
import zlib

import numpy as np

BUCKETS = 4096
_WORD = re.compile(r"[^\W_]+")


def ngrams(text: str) -> np.ndarray:
    """float32 [BUCKETS], of length 1: words, pairs of words, and runs of 3 to 5 characters inside words.

    Each n-gram adds to one bucket, with a sign of its own so that collisions cancel (feature hashing, Weinberger et
    al. 2009). An empty text gives zeros.
    """
    counts = np.zeros(BUCKETS, dtype=np.float32)
    hashes = np.array([zlib.crc32(piece.encode()) for piece in _pieces(text.lower())], dtype=np.uint32)
    if len(hashes):
        signs = np.where(hashes & 0x80000000, 1.0, -1.0).astype(np.float32)
        np.add.at(counts, hashes % BUCKETS, signs)
        length = np.linalg.norm(counts)
        if length:
            counts /= length
    return counts


def _pieces(text: str) -> list[str]:
    words = _WORD.findall(text)
    pieces = [f"w {word}" for word in words]
    pieces += [f"p {first} {second}" for first, second in zip(words, words[1:], strict=False)]
    for word in words:
        framed = f"<{word}>"
        for size in (3, 4, 5):
            pieces += [framed[at : at + size] for at in range(len(framed) - size + 1)]
    return pieces

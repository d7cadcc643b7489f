"""Vectors that are kept in a file between runs: most texts of a set stay the same from one training to the next."""

from pathlib import Path

import numpy as np

from safety.scorer.embedding import Encoder

BATCH = 32


class Kept:
    """An encoder that remembers. The file is for one model only: name another one after another model."""

    def __init__(self, encoder: Encoder, path: Path | None) -> None:
        self._encoder, self._path = encoder, path
        self._known: dict[str, np.ndarray] = {}
        if path and path.exists():
            with np.load(path) as stored:
                self._known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))

    def encode(self, texts: list[str]) -> np.ndarray:
        missing = sorted({text for text in texts if text not in self._known}, key=len)
        for at in range(0, len(missing), BATCH):
            some = missing[at : at + BATCH]
            self._known.update(zip(some, self._encoder.encode(some), strict=True))
        if missing and self._path:
            np.savez(
                self._path, texts=np.array(list(self._known)), vectors=np.stack(list(self._known.values()))
            )
        return np.stack([self._known[text] for text in texts])

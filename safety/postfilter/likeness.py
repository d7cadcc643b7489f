"""Gates that compare frames with registered likenesses, by embeddings: one per kind of person, as thresholds are.

The embedder is a model of the installation's own. It is shown the whole frame and overlapping parts of it, since a face
may be small; a face detector of one's own belongs into the embedder or a sidecar.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from safety.models import FrameClass, PolicyVersion
from safety.policy.records import LikenessKind
from safety.postfilter.frame_records import Likeness
from safety.postfilter.models import LoadedOnce, ModelFiles, ModelUnusable
from safety.postfilter.protocol import Finding, Look

LEAST = 0.3  # a cosine below this says nothing about who it is
PARTS = 2  # by so many halves, and once more in between, the frame is looked at in parts


@dataclass(frozen=True)
class LikenessIndex:
    """Of one kind: `vectors` float32 [entries, numbers] of length 1, `ids` [entries]."""

    vectors: np.ndarray
    ids: np.ndarray


class Embedder:
    """The model and its registered likenesses, shared by the gates of all kinds."""

    def __init__(self, id: str, files: ModelFiles, *, parts: bool = True) -> None:
        self.id = id
        self.parts = parts
        self._model = LoadedOnce(files)
        self._lock = threading.Lock()
        self._version: tuple[int, datetime] | None = None
        self._indexes: dict[str, LikenessIndex] = {}
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def index(self, kind: str) -> LikenessIndex:
        """Read anew when a likeness was added or removed. Raises ModelUnusable where an embedding is damaged."""
        version = PolicyVersion.objects.filter(name="likenesses").values_list("version", "changed_at").first()
        with self._lock:
            if not self._indexes or version != self._version:
                self._indexes = {name: _read(self.id, name) for name in LikenessKind.values}
                self._version = version
            return self._indexes[kind]

    def ready(self) -> None:
        """Load the model; raises ModelUnusable."""
        self._model.network()

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """float32 [frames, views, numbers] of length 1. The gates of all kinds ask about the same array."""
        with self._lock:
            if self._last is None or self._last[0] is not frames:
                views = [self._model.run(view) for view in _views(frames, self.parts)]
                self._last = frames, _unit(np.stack(views, axis=1))
            return self._last[1]


class LikenessGate:
    """Is it one of the registered persons of one kind?"""

    classes = frozenset({FrameClass.LIKENESS})
    judges_unseen = True

    def __init__(self, embedder: Embedder, version: str, kind: str) -> None:
        self.id = f"{embedder.id}:{kind}"
        self.version = version
        self.kind = kind
        self.embedder = embedder

    def prepare(self, frame_class: str) -> Look | None:
        """None where nobody of the kind is registered."""
        index = self.embedder.index(self.kind)
        if not len(index.ids):
            return None
        self.embedder.ready()
        return lambda frames: self._compare(frames, index)

    def _compare(self, frames: np.ndarray, index: LikenessIndex) -> list[Finding]:
        embedded = self.embedder.embed(frames)
        if embedded.shape[2] != index.vectors.shape[1]:
            raise ModelUnusable(f"{self.embedder.id} gives {embedded.shape[2]} numbers, the index has others")
        alike = embedded @ index.vectors.T  # [frames, views, entries]
        best = alike.max(axis=1)
        return [self._finding(row, index) for row in best]

    def _finding(self, alike: np.ndarray, index: LikenessIndex) -> Finding:
        place = int(alike.argmax())
        cosine = float(alike[place])
        if cosine < LEAST:
            return Finding(0.0, {"likeness_kind": self.kind})
        evidence = {"likeness_kind": self.kind, "likeness": int(index.ids[place]), "cosine": round(cosine, 4)}
        return Finding(min(cosine, 1.0), evidence)


def register(
    embedder: Embedder, picture: np.ndarray, *, name: str, kind: str, source: str, author: str
) -> Likeness:
    """Put somebody's likeness on the list: uint8 RGB [height, width, 3] of their face. The picture isn't kept."""
    embedder.ready()
    vector = embedder.embed(picture[None])[0, 0]
    return Likeness.objects.create(
        name=name,
        kind=kind,
        embedder=embedder.id,
        embedding=vector.astype("<f4").tobytes(),
        source=source,
        author=author,
    )


def _views(frames: np.ndarray, parts: bool) -> Iterator[np.ndarray]:
    """The whole frames first, then nine overlapping quarters of them."""
    yield frames
    if not parts:
        return
    height, width = frames.shape[1] // PARTS, frames.shape[2] // PARTS
    for row in range(2 * PARTS - 1):
        for column in range(2 * PARTS - 1):
            top, left = row * height // 2, column * width // 2
            yield np.ascontiguousarray(frames[:, top : top + height, left : left + width])


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise ModelUnusable("the model gave an embedding without length")
    return (vectors / length).astype(np.float32)


def _read(embedder: str, kind: str) -> LikenessIndex:
    rows = list(Likeness.objects.filter(embedder=embedder, kind=kind).values_list("id", "embedding"))
    vectors = [np.frombuffer(bytes(packed), "<f4") for _, packed in rows]
    if len({len(vector) for vector in vectors}) > 1 or any(
        not np.isclose(np.linalg.norm(vector), 1, atol=1e-3) for vector in vectors
    ):
        raise ModelUnusable(f"an embedding of {embedder} is damaged")
    return LikenessIndex(
        np.stack(vectors) if vectors else np.zeros((0, 0), np.float32), np.array([row[0] for row in rows])
    )

"""Milliseconds per frame of every gate and adapter, and what a clip of 240 frames takes, beside the raw library calls.

Frames are 640×360 with texture at every scale. The models of the adapters are tiny ones with random weights: what is
measured is the way to a model and back, not a model.
"""

import json
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import faiss
import numpy as np
import pdqhash
from PIL import Image

from bench.gate_models import write_colour_onnx, write_embedding_onnx, write_vit
from bench.harness import Figure, Run, seconds
from generation.worker.encoding import encode
from safety.postfilter import canary
from safety.postfilter.canary_marks import CanaryMarks
from safety.postfilter.comparing import compare
from safety.postfilter.frame_records import Likeness
from safety.postfilter.hash_index import HashIndex
from safety.postfilter.image_classifier import ImageClassifier
from safety.postfilter.likeness import Embedder, LikenessGate
from safety.postfilter.models import ModelFiles
from safety.postfilter.pdq import hashes_of_frame
from safety.postfilter.scan import scan_file
from safety.postfilter.sidecar import Sidecar

HEIGHT, WIDTH, BATCH, CLIP = 360, 640, 32, 240
ENTRIES = 1_000_000
REPEATS = 3


def measure(run: Run) -> Iterable[Figure]:
    """`*_ms_per_frame` per adapter and `*_240_s` for a whole clip; each beside what the library alone takes."""
    run = replace(run, repeats=REPEATS)
    frames = _frames(BATCH)
    with tempfile.TemporaryDirectory() as folder:
        yield from _hashes(run, frames)
        yield from _marks(run, frames)
        yield from _models(run, frames, Path(folder))
        yield from _sidecar(run, frames)
        yield _whole(run, Path(folder))


def _hashes(run: Run, frames: np.ndarray) -> Iterable[Figure]:
    ours = lambda: [hashes_of_frame(frame) for frame in frames]  # noqa: E731
    raw = lambda: [pdqhash.compute(frame) for frame in frames]  # noqa: E731
    yield _per_frame("pdq_hashes", run, ours, raw, "pdqhash.compute, one hash a frame", len(frames))
    packed = np.random.default_rng(1).integers(0, 256, (ENTRIES, 32), dtype=np.uint8)
    index = HashIndex((row.tobytes().hex(), 31, number, False) for number, row in enumerate(packed))
    flat = faiss.IndexBinaryFlat(256)
    flat.add(packed)
    digests = [digest for frame in frames for digest in hashes_of_frame(frame).digests]
    queries = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    ours, raw = (lambda: index.matches(digests)), (lambda: flat.range_search(queries, 32))
    words = f"faiss range_search, {len(digests) // len(frames)} hashes a frame, of {ENTRIES:,}"
    yield _per_frame("hash_lookup_of_a_million", run, ours, raw, words, len(frames))
    held = index.memory_bytes / 1e6
    yield Figure("hash_index_of_a_million_mb", held, "MB", "the hashes alone", ENTRIES * 32 / 1e6)
    clip = np.concatenate([frames] * (CLIP // BATCH + 1))[:CLIP]
    alone = lambda: [  # noqa: E731
        flat.range_search(np.packbits(pdqhash.compute(frame)[0].astype(np.uint8))[None], 32) for frame in clip
    ]
    batches = [clip[start : start + BATCH] for start in range(0, CLIP, BATCH)]
    yield _seconds(
        "hash_list_240",
        run,
        lambda: [compare(batch, index) for batch in batches],
        alone,
        f"one pdqhash.compute and one range_search of {ENTRIES:,} a frame",
    )


def _marks(run: Run, frames: np.ndarray) -> Iterable[Figure]:
    look = CanaryMarks().prepare("violence")
    bare = lambda: [canary.recognise(frame) for frame in frames]  # noqa: E731
    yield _per_frame(
        "canary_marks", run, lambda: look(frames), bare, "all four marks by canary.recognise", len(frames)
    )


def _models(run: Run, frames: np.ndarray, folder: Path) -> Iterable[Figure]:
    vit = ImageClassifier(
        "vit", "1", ModelFiles(write_vit(folder / "vit"), "classify"), {"intimate": ["explicit"]}
    )
    onnx = ImageClassifier(
        "onnx", "1", ModelFiles(write_colour_onnx(folder / "colour.onnx"), "classify"), {"violence": ["red"]}
    )
    for name, gate, asked in (("image_folder", vit, "intimate"), ("onnx", onnx, "violence")):
        look, network = gate.prepare(asked), gate._model.network()
        yield _per_frame(
            name,
            run,
            lambda look=look: look(frames.copy()),
            lambda network=network: network.run(frames),
            "the model alone with its preprocessing",
            len(frames),
        )
    yield _likeness(run, frames, folder)


def _likeness(run: Run, frames: np.ndarray, folder: Path) -> Figure:
    embedder = Embedder("bench", ModelFiles(write_embedding_onnx(folder / "faces.onnx"), "embed"))
    vectors = np.random.default_rng(2).normal(size=(1_000, 768)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    common = {"kind": "politician", "embedder": "bench", "source": "bench", "author": "bench"}
    Likeness.objects.bulk_create(
        Likeness(name=str(number), embedding=row.tobytes(), **common) for number, row in enumerate(vectors)
    )
    look = LikenessGate(embedder, "1", "politician").prepare("likeness")
    network = embedder._model.network()
    return _per_frame(
        "likeness_of_a_thousand",
        run,
        lambda: look(frames.copy()),
        lambda: network.run(frames),
        "the embedder alone on whole frames; the gate looks at ten views of each",
        len(frames),
    )


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        results = [{"score": 0.0}] * body.count(b'name="frame"')
        content = json.dumps({"protocol": 1, "version": "1", "results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Figures alone are printed."""


@contextmanager
def _serving():
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def _sidecar(run: Run, frames: np.ndarray) -> Iterable[Figure]:
    with _serving() as url:
        for images in ("png", "jpeg", "raw"):
            gate = Sidecar("s", "1", url, frozenset({"violence"}), images=images)
            look = gate.prepare("violence")
            words = "copying the frames once; the sidecar answers at once"
            yield _per_frame(
                f"sidecar_{images}",
                run,
                lambda look=look: look(frames),
                lambda: [frame.tobytes() for frame in frames],
                words,
                len(frames),
            )


def _whole(run: Run, folder: Path) -> Figure:
    """The gates that ship, on an encoded clip, with every verdict stored."""
    path = folder / "clip.mp4"
    encode(np.concatenate([_frames(BATCH)] * (CLIP // BATCH + 1))[:CLIP], 24, path)

    def scanned() -> None:
        scan = scan_file(path, "bench", 1, CLIP)
        if scan.verdict != "pass":
            raise RuntimeError(scan.reason)

    def decoded() -> None:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                frame.to_ndarray(format="rgb24")

    return _seconds("scan_240", run, scanned, decoded, "decoding the clip alone")


def _per_frame(
    name: str, run: Run, ours: Callable[[], object], raw: Callable[[], object], words: str, frames: int
) -> Figure:
    took, alone = run.beside(lambda: seconds(ours), lambda: seconds(raw))
    return Figure(f"{name}_ms_per_frame", 1000 * took / frames, "ms", words, 1000 * alone / frames)


def _seconds(
    name: str, run: Run, ours: Callable[[], object], raw: Callable[[], object], words: str
) -> Figure:
    took, alone = run.beside(lambda: seconds(ours), lambda: seconds(raw))
    return Figure(f"{name}_s", took, "s", words, alone)


def _frames(count: int) -> np.ndarray:
    """uint8 [count, height, width, 3] of soft structure at every scale, each frame another."""
    rng, found = np.random.default_rng(3), []
    for _ in range(count):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        for cells in (3, 7, 15, 31):
            coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            picture += np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / cells**0.5
        found.append((picture / picture.max() * 255).astype(np.uint8))
    return np.stack(found)

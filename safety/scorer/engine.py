"""What the scorer does with questions: vectors, nearness to rule examples, the classifier's scores, the topic."""

import json
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from safety.scorer import embedding, windows
from safety.scorer.classifier import FOLDER, Classifier, features
from safety.scorer.guard_folder import GuardFolder

log = logging.getLogger(__name__)

KEPT_VECTORS = 20_000
KEPT_SETS = 8
PROBE = ("a red ball rolls over grass", "backlot scorer probe")


class Unfit(RuntimeError):
    """The model gives vectors that can't be right."""


@dataclass(frozen=True)
class ExampleSet:
    """The live rule examples of one policy version, with their vectors."""

    ids: tuple[int, ...]
    categories: tuple[str, ...]
    vectors: np.ndarray


class Engine:
    """One model, one classifier. Not for several threads at once."""

    def __init__(self, model: str = "", weights: Path = FOLDER, guard_model: str = "") -> None:
        folder = embedding.model_folder(model)
        self.fingerprint = embedding.fingerprint(folder)
        self.classifier = Classifier.read(weights, self.fingerprint)
        self.encoder = embedding.encoder_of(folder, self.classifier.branch)
        self._encoded: OrderedDict[tuple[str, bool], np.ndarray] = OrderedDict()
        self._sets: OrderedDict[str, ExampleSet] = OrderedDict()
        self._guard = GuardFolder(Path(guard_model).expanduser()) if guard_model else None
        self._recall(weights)
        self._probe()

    def answer(self, questions: list[dict]) -> list[dict]:
        """Each question's answer, with one pass of the encoder over all that they need."""
        texts = [self._parts(question) for question in questions]
        wanted = [
            (part, _apart(question))
            for question, parts in zip(questions, texts, strict=True)
            for part in parts
        ]
        wanted += [(row[2], False) for question in questions for row in question.get("example_rows") or ()]
        began = time.perf_counter()
        self._encode(wanted)
        encoded_ms = (time.perf_counter() - began) * 1000
        return [
            self._one(question, parts, encoded_ms) for question, parts in zip(questions, texts, strict=True)
        ]

    def _parts(self, question: dict) -> list[str]:
        if question.get("op") != "score":
            return []
        kind = question["kind"]
        found = [
            part
            for text in question["texts"]
            for part in windows.chosen(
                windows.windows(text, kind), lambda part: self.classifier.suspicion(part, kind)
            )
        ]
        return list(dict.fromkeys(found))

    def _one(self, question: dict, parts: list[str], encoded_ms: float) -> dict:
        about = {"encoder": self.fingerprint[:12], "classifier": self.classifier.version}
        if question.get("op") == "guard":
            return {"guard": self._guard.scores(question["text"]) if self._guard else None}
        if question.get("op") != "score":
            return {"status": "ready", **about}
        examples = self._examples(question)
        if examples is None:
            return {"need": "examples"}
        encoded = np.stack([self._encoded[part, _apart(question)] for part in parts])
        vectors, own = encoded[:, : self.classifier.width], encoded[:, self.classifier.width :]
        began = time.perf_counter()
        similar = _similar(vectors, examples)
        compared = time.perf_counter()
        rows = features(vectors, parts)
        every = self.classifier.scores(rows, own, question["kind"])
        scores = {name: max(one[name] for one in every) for name in every[0]}
        topic = "code" if question["kind"] == "code" else self.classifier.topic(rows)
        done = time.perf_counter()
        return {
            **about,
            "similar": similar,
            "scores": scores,
            "topic": topic,
            "ms": {
                "embedding": encoded_ms + (compared - began) * 1000,
                "classifier": (done - compared) * 1000,
            },
        }

    def _examples(self, question: dict) -> ExampleSet | None:
        """The examples that the question names; None where they have to be sent first."""
        digest = question["examples"]
        rows = question.get("example_rows")
        if digest not in self._sets and rows is not None:
            vectors = np.stack([self._encoded[row[2], False] for row in rows]) if rows else np.zeros((0, 1))
            ids, categories = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
            self._sets[digest] = ExampleSet(ids, categories, vectors)
            while len(self._sets) > KEPT_SETS:
                self._sets.popitem(last=False)
        return self._sets.get(digest)

    def _encode(self, wanted: list[tuple[str, bool]]) -> None:
        """Make the vectors that are missing, in batches that don't hold the thread too long."""
        for apart in (False, True):
            missing = [one for one in dict.fromkeys(wanted) if one[1] is apart and one not in self._encoded]
            for at in range(0, len(missing), 16):
                some = missing[at : at + 16]
                made = self.encoder.encode([text for text, _ in some], apart=apart)
                self._encoded.update(zip(some, made, strict=True))
        for one in wanted:
            self._encoded.move_to_end(one)
        while len(self._encoded) > max(KEPT_VECTORS, len(wanted)):
            self._encoded.popitem(last=False)

    def _recall(self, weights: Path) -> None:
        """The vectors of the shipped examples, so that a new scorer needn't make them while somebody waits."""
        texts = json.loads((weights / "manifest.json").read_text())["examples"]
        vectors = load_file(weights / "weights.safetensors")["examples"]
        self._encoded.update(zip([(text, False) for text in texts], vectors, strict=True))

    def _probe(self) -> None:
        made = self.encoder.encode(list(PROBE), apart=True)
        lengths = np.linalg.norm(made[:, : self.classifier.width], axis=1)
        if not np.all(np.isfinite(made)) or np.abs(lengths - 1).max() > 1e-3:
            raise Unfit("the model's vectors are not of length 1")


def _apart(question: dict) -> bool:
    """Whether the encoder's branch is asked: its categories are those of clips."""
    return question["kind"] == "clip"


def _similar(vectors: np.ndarray, examples: ExampleSet) -> dict[str, list]:
    """category → [id of the nearest example, cosine], over all parts of the text."""
    if not examples.ids:
        return {}
    near = (vectors @ examples.vectors.T).max(axis=0)
    found: dict[str, list] = {}
    for place, category in enumerate(examples.categories):
        score = round(float(near[place]), 4)
        if category not in found or score > found[category][1]:
            found[category] = [examples.ids[place], score]
    return found

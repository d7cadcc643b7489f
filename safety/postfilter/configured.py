"""The gates that an installation names in a JSON file (`SAFETY_GATES_FILE`): models of its own and sidecars.

    {"gates": [
      {"gate": "image_folder", "id": "acme-intimate", "version": "3", "path": "/models/acme", "sha256": "…",
       "classes": {"intimate": ["explicit", "suggestive"]}},
      {"gate": "onnx", "id": "gore", "version": "1", "path": "/models/gore.onnx", "classes": {"violence": ["gore"]}},
      {"gate": "likeness", "id": "faces", "version": "2", "path": "/models/faces.onnx"},
      {"gate": "sidecar", "id": "vendor", "version": "2026-11", "url": "http://127.0.0.1:9000/judge",
       "classes": ["child_safety"], "seconds": 4}
    ]}

It is read once per process, and nothing is loaded or asked then. What is wrong in it stops the start (safety.E001).
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from safety.models import FrameClass
from safety.policy.records import LikenessKind
from safety.postfilter.image_classifier import ImageClassifier
from safety.postfilter.likeness import Embedder, LikenessGate
from safety.postfilter.models import ModelFiles
from safety.postfilter.protocol import Gate
from safety.postfilter.sidecar import IMAGES, Sidecar

MOST_NAME = 40  # characters, as verdicts store them
MODEL_KEYS = {"path", "sha256", "device"}


class GatesFileInvalid(TypeError):
    """The file of gates can't be used; the message names the gate and what is wrong."""


@cache
def gates_of(path: str) -> tuple[Gate, ...]:
    """The gates of a file, in its order. Raises GatesFileInvalid."""
    try:
        written = json.loads(Path(path).read_text(encoding="utf-8"))
        entries = written["gates"]
        made = [gate for entry in entries for gate in _made(entry)]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise GatesFileInvalid(f"{path}: {type(error).__name__}: {error}") from error
    ids = [gate.id for gate in made]
    if len(set(ids)) < len(ids):
        raise GatesFileInvalid(f"{path}: two gates have one id")
    return tuple(made)


def embedders_of(path: str) -> dict[str, Embedder]:
    """The embedders of a file by their id, for registering likenesses."""
    found = [gate.embedder for gate in gates_of(path) if isinstance(gate, LikenessGate)]
    return {embedder.id: embedder for embedder in found}


def _made(entry: Any) -> list[Gate]:
    if not isinstance(entry, Mapping) or entry.get("gate") not in KINDS:
        raise GatesFileInvalid(f"a gate is one of {', '.join(KINDS)}, not {entry!r:.80}")
    make, known = KINDS[entry["gate"]]
    unknown = sorted(set(entry) - {"gate", "id", "version"} - known)
    if unknown:
        raise GatesFileInvalid(f"{entry.get('id')}: unknown keys {', '.join(unknown)}")
    for name in ("id", "version"):
        if not isinstance(entry.get(name), str) or not 0 < len(entry[name]) <= MOST_NAME:
            raise GatesFileInvalid(
                f"{name} is a text of at most {MOST_NAME} characters, not {entry.get(name)!r:.60}"
            )
    return make(entry)


def _files(entry: Mapping, task: str) -> ModelFiles:
    return ModelFiles(Path(entry["path"]), task, entry.get("sha256", ""), entry.get("device", "cpu"))


def _classifier(entry: Mapping) -> list[Gate]:
    classes = entry["classes"]
    if (
        not isinstance(classes, Mapping)
        or not classes
        or not all(
            isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)
            for labels in classes.values()
        )
    ):
        raise GatesFileInvalid(f"{entry['id']}: classes says for each class which labels speak of it")
    _known(entry["id"], classes)
    return [ImageClassifier(entry["id"], entry["version"], _files(entry, "classify"), classes)]


def _likeness(entry: Mapping) -> list[Gate]:
    if len(entry["id"]) > MOST_NAME - 1 - max(map(len, LikenessKind.values)):
        raise GatesFileInvalid(f"{entry['id']}: the id of an embedder has at most 25 characters")
    embedder = Embedder(entry["id"], _files(entry, "embed"), parts=bool(entry.get("parts", True)))
    return [LikenessGate(embedder, entry["version"], kind) for kind in LikenessKind.values]


def _sidecar(entry: Mapping) -> list[Gate]:
    _known(entry["id"], entry["classes"])
    seconds, images = entry.get("seconds", 5.0), entry.get("images", "png")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 60:
        raise GatesFileInvalid(f"{entry['id']}: seconds is above 0 and at most 60")
    if images not in IMAGES:
        raise GatesFileInvalid(f"{entry['id']}: images is one of {', '.join(IMAGES)}")
    if not str(entry["url"]).startswith(("http://", "https://")):
        raise GatesFileInvalid(f"{entry['id']}: url begins with http:// or https://")
    if not isinstance(entry.get("sees_faces", False), bool):
        raise GatesFileInvalid(f"{entry['id']}: sees_faces is true or false")
    return [
        Sidecar(
            entry["id"],
            entry["version"],
            entry["url"],
            frozenset(entry["classes"]),
            float(seconds),
            images,
            entry.get("token_env", ""),
            sees_faces=entry.get("sees_faces", False),
        )
    ]


def _known(gate_id: str, classes: Any) -> None:
    strange = sorted(set(classes) - set(FrameClass.values))
    if strange or not classes or isinstance(classes, str):
        raise GatesFileInvalid(
            f"{gate_id}: classes are of {', '.join(FrameClass.values)}, not {classes!r:.80}"
        )


KINDS: Mapping[str, tuple[Callable[[Mapping], list[Gate]], set[str]]] = {
    "image_folder": (_classifier, MODEL_KEYS | {"classes"}),
    "onnx": (_classifier, MODEL_KEYS | {"classes"}),
    "likeness": (_likeness, MODEL_KEYS | {"parts"}),
    "sidecar": (_sidecar, {"url", "classes", "seconds", "images", "token_env", "sees_faces"}),
}

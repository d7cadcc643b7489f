"""The shipped classifier: linear over what a text means (its vector) and what it looks like (its n-grams).

One softmax over the categories and "benign" per kind of request, one over the topics of benign texts. For one category
of clips, violence, a branch of the encoder gives the lead instead (`bert.py`). A category's score is the logistic
function of how far it leads over "benign", less the lead from which the recipe's calibration would refuse: so 0.5 is
that point, for every category and kind.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from safety.scorer.features import BUCKETS, ngrams

FOLDER = Path(__file__).resolve().parents[1] / "weights" / "text_filter"
MEANING, LOOKS = 1.0, 0.35  # how much of each goes into the features
BENIGN = "benign"
BRANCH = "branch."  # before the names of the branch's tensors among the weights


class Damaged(ValueError):
    """The weights are not those that the manifest names, or were made for another encoder."""


def features(vectors: np.ndarray, texts: list[str]) -> np.ndarray:
    """float32 [texts, width + BUCKETS]."""
    looks = np.stack([ngrams(text) for text in texts])
    return np.hstack([MEANING * vectors, LOOKS * looks]).astype(np.float32)


@dataclass(frozen=True)
class Classifier:
    """The weights, checked against their manifest."""

    version: str
    categories: tuple[str, ...]
    topics: tuple[str, ...]
    # kind → [features + 1, categories + 1]: the last row is the intercept, the last column is benign
    blocking: dict[str, np.ndarray]
    about: np.ndarray  # [features + 1, topics]
    leads: dict[str, dict[str, float]]  # kind → category → the lead at a score of 0.5
    width: int  # of a text's vector
    apart: str  # the category of clips whose lead the encoder's branch gives
    branch: dict[str, np.ndarray]  # its weights

    @classmethod
    def read(cls, folder: Path, encoder: str) -> "Classifier":
        """Raises Damaged. `encoder` is the fingerprint of the model whose vectors will come."""
        manifest = json.loads((folder / "manifest.json").read_text())
        weights = (folder / "weights.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != manifest["sha256"]:
            raise Damaged("the classifier's weights are not those that its manifest names")
        if manifest["encoder"] != encoder:
            raise Damaged("the classifier was trained on the vectors of another model: train it anew")
        if "apart" not in manifest:
            raise Damaged("the classifier's weights are of an earlier form: train it anew")
        found = load(weights)
        blocking = {kind: found[f"blocking.{kind}"] for kind in manifest["leads"]}
        if {len(one) for one in blocking.values()} != {manifest["width"] + BUCKETS + 1}:
            raise Damaged("the classifier takes other features than these")
        names = tuple(manifest["categories"]), tuple(manifest["topics"])
        branch = {name.removeprefix(BRANCH): found[name] for name in found if name.startswith(BRANCH)}
        linear = blocking, found["about"], manifest["leads"], manifest["width"]
        return cls(manifest["version"], *names, *linear, manifest["apart"], branch)

    def scores(self, rows: np.ndarray, own: np.ndarray, kind: str) -> list[dict[str, float]]:
        """Per row of `features`: category → share of 1, for the categories of the kind.

        `own`: what the encoder's branch says, [texts, 1]; [texts, 0] where it was not asked, as for code.
        """
        weights = self.blocking[kind]
        raw = rows @ weights[:-1] + weights[-1]
        leads = raw[:, :-1] - raw[:, -1:]
        found = []
        if own.shape[1]:
            leads[:, self.categories.index(self.apart)] = own[:, 0]
        for row in leads:
            lead = dict(zip(self.categories, row.tolist(), strict=True))
            found.append({name: _share(lead[name] - at) for name, at in self.leads[kind].items()})
        return found

    def suspicion(self, text: str, kind: str) -> float:
        """How bad a text looks, without its vector: to choose which parts of a long text get one."""
        raw = LOOKS * ngrams(text) @ self.blocking[kind][-BUCKETS - 1 : -1]
        return float((raw[:-1] - raw[-1]).max())

    def topic(self, rows: np.ndarray) -> str:
        """What the rows are about together."""
        raw = rows @ self.about[:-1] + self.about[-1]
        return self.topics[int(raw.mean(axis=0).argmax())]


def _share(lead: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(lead, -50, 50))))

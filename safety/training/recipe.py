"""The recipe of the text filter: fit on the training split, find the leads on it and the calibration split, measure.

The frozen split takes no part in anything but the last step, whose figures go into the manifest.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from scipy import sparse

from safety.prefilter.normalise import normalise
from safety.prefilter.prose import passages
from safety.prefilter.shipped_examples import EXAMPLES
from safety.scorer import embedding
from safety.scorer.bert import BertEncoder
from safety.scorer.classifier import BENIGN, BRANCH, LOOKS, MEANING
from safety.scorer.features import ngrams
from safety.training.text_set import APART, PROMPTS, Labelled, expand
from safety.training.tuning import Lesson, tune

PER_TEMPLATE = {"train": 60, PROMPTS: 60, "calibration": 60, "frozen": 40, APART: 60}
# What the linear model of a kind learns from, beside the calibration split. That of code refused fewer disguised texts
# where it had learnt the prompts for clips too.
LEARNS = {"clip": ("train", PROMPTS), "code": ("train",)}
WEIGHTS = {"train": 1.0, PROMPTS: 2.5, APART: 0.5}  # of a split's text, for the category that learns apart
CATEGORIES = {
    "clip": (
        "child_safety",
        "sexual",
        "violence",
        "likeness",
        "deception",
        "jailbreak",
        "prompt_injection",
    ),
    "code": ("child_safety", "jailbreak", "prompt_injection"),
}
STRENGTH = 10.0  # 1 / regularisation, of the softmax over categories
FOLDS = 3
APART_REFUSED = 0.005  # of the calibration split's benign clip prompts, by the category that learns apart
UNTOLD = "any"  # the topic of benign texts whose topic nobody told
BENIGN_REFUSED = 0.003  # of the benign texts a category may refuse so many where that is what recall costs

Encode = Callable[[list[str]], np.ndarray]


@dataclass(frozen=True)
class Split:
    """A split as the classifier sees it: rows of features, nearly all of them zero, and what each is."""

    texts: list[Labelled]
    rows: sparse.csr_matrix

    @property
    def categories(self) -> np.ndarray:
        return np.array([one.category or BENIGN for one in self.texts])


def reading(one: Labelled) -> str:
    """The text as the scorer reads it: code by its prose."""
    if one.kind == "code":
        return normalise(" ".join(passages(one.text)) or one.text)
    return normalise(one.text)


def split(name: str, encode: Encode) -> Split:
    texts = expand(name, per_template=PER_TEMPLATE[name])
    readings = [reading(one) for one in texts]
    return Split(texts, _rows(encode(readings), readings))


def _rows(vectors: np.ndarray, readings: list[str]) -> sparse.csr_matrix:
    """As `classifier.features`: float32 [texts, width + BUCKETS]."""
    looks = sparse.vstack([sparse.csr_matrix(LOOKS * ngrams(text)) for text in readings])
    return sparse.hstack([MEANING * vectors, looks]).tocsr().astype(np.float32)


def train(model: Path, encode: Encode, folder: Path, say: Callable[[str], None]) -> dict:
    """Make weights and manifest in `folder`; the manifest. `encode` gives the vectors of the encoder in `model`."""
    parts = {name: split(name, encode) for name in ("train", PROMPTS, "calibration")}
    order = [*CATEGORIES["clip"], BENIGN]
    tensors, leads = {}, {}
    for kind, names in LEARNS.items():
        whole = _joined(*(parts[name] for name in (*names, "calibration")))
        say(f"{kind}: fitting on {len(whole.texts)} texts")
        leads[kind] = _leads(whole, kind, order, say)
        tensors[f"blocking.{kind}"] = _softmax(whole.rows, whole.categories, order, STRENGTH)
    whole = _joined(*parts.values())
    harmless = [
        place
        for place, one in enumerate(whole.texts)
        if one.topic not in (None, UNTOLD) and one.kind == "clip"
    ]
    about = np.array([whole.texts[place].topic for place in harmless])
    topics = sorted(set(about.tolist()))
    tensors |= {
        "about": _softmax(whole.rows[harmless], about, topics, STRENGTH),
        "examples": encode([normalise(text) for _, _, text in EXAMPLES]),
    }
    trained_on = len(whole.texts)
    if isinstance(embedding.encoder_of(model), BertEncoder):
        own = expand(APART, per_template=PER_TEMPLATE[APART])
        learnt = [*parts["train"].texts, *parts[PROMPTS].texts, *own]
        branch, leads["clip"][APART] = _learn_apart(model, learnt, parts["calibration"].texts, say)
        tensors |= {BRANCH + name: value for name, value in branch.items()}
        trained_on += len(own)
    return _write(folder, tensors, leads, topics, embedding.fingerprint(model), trained_on)


def _joined(*splits: Split) -> Split:
    texts = [one for joined in splits for one in joined.texts]
    return Split(texts, sparse.vstack([joined.rows for joined in splits]).tocsr())


def _learn_apart(
    model: Path, learnt: Sequence[Labelled], calibrated: Sequence[Labelled], say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], float]:
    """The encoder's branch for the category that learns apart, and its lead from which to refuse.

    That lead is found on the calibration split, of which the branch learns nothing.
    """
    lessons = [
        Lesson(reading(one), one.category == APART, WEIGHTS[one.split]) for one in learnt if _for_branch(one)
    ]
    branch = tune(model, lessons, say)
    told = [one for one in calibrated if _for_branch(one)]
    lead = _leads_of(BertEncoder(model, branch), [reading(one) for one in told])
    meant = np.array([one.category == APART for one in told])
    at = round(float(np.quantile(lead[~meant], 1 - APART_REFUSED)), 4)
    say(
        f"clip {APART}, apart: {len(lessons)} texts, lead {at:.2f}, recall {(lead[meant] >= at).mean():.4f}, "
        f"refused {(lead[~meant] >= at).sum()} of {(~meant).sum()} (calibration)"
    )
    return branch, at


def _for_branch(one: Labelled) -> bool:
    return one.kind == "clip" and one.category in (APART, None)


def _leads_of(encoder: BertEncoder, texts: list[str]) -> np.ndarray:
    some = [texts[at : at + 32] for at in range(0, len(texts), 32)]
    return np.concatenate([encoder.encode(part, apart=True)[:, -1] for part in some])


def _softmax(
    rows: sparse.csr_matrix, wanted: np.ndarray, order: Sequence[str], strength: float
) -> np.ndarray:
    """float32 [features + 1, classes] in the given order; the last row is the intercept."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=150).fit(rows, wanted)
    places = [list(fitted.classes_).index(name) for name in order]
    return np.vstack([fitted.coef_[places].T, fitted.intercept_[places]]).astype(np.float32)


def _leads(whole: Split, kind: str, order: list[str], say: Callable[[str], None]) -> dict[str, float]:
    """category → the lead over benign from which to refuse, found on texts of templates that were left out."""
    fold = np.array([_fold(one.template) for one in whole.texts])
    lead = np.zeros((len(whole.texts), len(order) - 1))
    for number in range(FOLDS):
        kept, left = fold != number, fold == number
        weights = _softmax(whole.rows[kept], whole.categories[kept], order, STRENGTH)
        raw = whole.rows[left] @ weights[:-1] + weights[-1]
        lead[left] = raw[:, :-1] - raw[:, -1:]
        say(f"calibrated part {number + 1} of {FOLDS}")
    counted = np.array([one.kind for one in whole.texts]) == kind
    found = {}
    for name in CATEGORIES[kind]:
        own = lead[:, order.index(name)]
        harmless = own[counted & (whole.categories == BENIGN)]
        meant = own[counted & (whole.categories == name)]
        found[name] = round(_between(harmless, meant), 4)
        recall = float((meant >= found[name]).mean())
        refused = float((harmless >= found[name]).mean())
        say(f"{kind} {name}: lead {found[name]:.2f}, recall {recall:.4f}, refused {refused:.4f} (left out)")
    return found


def _between(harmless: np.ndarray, meant: np.ndarray) -> float:
    """Midway where the two keep apart; else as low as the benign texts allow."""
    low, high = np.quantile(harmless, 1 - BENIGN_REFUSED), np.quantile(meant, 0.005)
    return float((low + high) / 2 if low < high else low)


def _version(weights: bytes, leads: dict) -> str:
    return hashlib.sha256(weights + json.dumps(leads, sort_keys=True).encode()).hexdigest()[:8]


def _fold(template: str) -> int:
    return hashlib.sha256(re.sub(r"\W+", " ", template).encode()).digest()[0] % FOLDS


def _write(
    folder: Path, tensors: dict, leads: dict, topics: list[str], fingerprint: str, trained_on: int
) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    digest = hashlib.sha256(weights).hexdigest()
    manifest = {
        "version": f"text-filter-{_version(weights, leads)}",
        "sha256": digest,
        "encoder": fingerprint,
        "width": int(tensors["examples"].shape[1]),
        "categories": list(CATEGORIES["clip"]),
        "apart": APART,
        "topics": topics,
        "leads": leads,
        "trained_on": trained_on,
        "examples": [normalise(text) for _, _, text in EXAMPLES],
    }
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    return manifest

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
from safety.scorer.classifier import BENIGN, LOOKS, MEANING
from safety.scorer.features import ngrams
from safety.training.text_set import APART, Labelled, expand

PER_TEMPLATE = {"train": 60, "calibration": 60, "frozen": 40} | dict.fromkeys(APART, 60)
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
APART_REFUSED = 0.005  # of the calibration split's benign clip prompts, by a category that learns apart
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


def train(encode: Encode, fingerprint: str, folder: Path, say: Callable[[str], None]) -> dict:
    """Make weights and manifest in `folder`; the manifest."""
    learnt, calibrated = split("train", encode), split("calibration", encode)
    whole = _joined(learnt, calibrated)
    say(f"fitting on {len(whole.texts)} texts")
    order = [*CATEGORIES["clip"], BENIGN]
    leads = _leads(whole, order, say)
    blocking = _softmax(whole.rows, whole.categories, order, STRENGTH)
    more = {name: split(name, encode) for name in APART}
    for name, own in more.items():
        place = order.index(name)
        leads["clip"][name] = _point_apart(name, _joined(learnt, own), calibrated, order, say)
        # A category refuses by its lead over benign, so a new lead on the old benign leaves all others as they are.
        blocking[:, place] = blocking[:, -1] + _lead_apart(name, _joined(whole, own), order)
    harmless = [
        place
        for place, one in enumerate(whole.texts)
        if one.topic not in (None, UNTOLD) and one.kind == "clip"
    ]
    about = np.array([whole.texts[place].topic for place in harmless])
    topics = sorted(set(about.tolist()))
    tensors = {
        "blocking": blocking,
        "about": _softmax(whole.rows[harmless], about, topics, STRENGTH),
        "examples": encode([normalise(text) for _, _, text in EXAMPLES]),
    }
    trained_on = len(whole.texts) + sum(len(own.texts) for own in more.values())
    return _write(folder, tensors, leads, topics, fingerprint, trained_on)


def _joined(*splits: Split) -> Split:
    texts = [one for joined in splits for one in joined.texts]
    return Split(texts, sparse.vstack([joined.rows for joined in splits]).tocsr())


def _lead_apart(name: str, learnt: Split, order: list[str]) -> np.ndarray:
    """float32 [features + 1]: what one category learns beside all others, over benign.

    The mean of two fits, at one spread: one tells it from every other category, one from benign clip prompts alone. On
    texts that neither had learnt from, the second refused more of those meant, and twice the hard benign ones; the mean
    refused as many of those meant as the second, and about as few benign ones as the first.
    """
    weights = _softmax(learnt.rows, learnt.categories, order, 3 * STRENGTH)
    among = weights[:, order.index(name)] - weights[:, -1]
    clips = np.array([one.kind for one in learnt.texts]) == "clip"
    two = clips & np.isin(learnt.categories, [name, BENIGN])
    weights = _softmax(learnt.rows[two], learnt.categories[two], [name, BENIGN], STRENGTH)
    alone = weights[:, 0] - weights[:, 1]
    return (among + alone * _spread(learnt, among) / _spread(learnt, alone)) / 2


def _spread(learnt: Split, lead: np.ndarray) -> float:
    return float(np.std(learnt.rows @ lead[:-1]))


def _point_apart(
    name: str, learnt: Split, calibrated: Split, order: list[str], say: Callable[[str], None]
) -> float:
    """The lead from which to refuse: by benign texts in whose wording nothing was learnt."""
    lead = _lead_apart(name, learnt, order)
    own = calibrated.rows @ lead[:-1] + lead[-1]
    clips = np.array([one.kind for one in calibrated.texts]) == "clip"
    harmless = own[clips & (calibrated.categories == BENIGN)]
    meant = own[clips & (calibrated.categories == name)]
    at = round(float(np.quantile(harmless, 1 - APART_REFUSED)), 4)
    refused = int((harmless >= at).sum())
    say(
        f"clip {name}, apart: lead {at:.2f}, recall {(meant >= at).mean():.4f}, "
        f"refused {refused} of {len(harmless)} (calibration)"
    )
    return at


def _softmax(
    rows: sparse.csr_matrix, wanted: np.ndarray, order: Sequence[str], strength: float
) -> np.ndarray:
    """float32 [features + 1, classes] in the given order; the last row is the intercept."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=150).fit(rows, wanted)
    if len(order) == 2:  # then there is one row: of the second class, in the order of names
        fitted.coef_ = np.vstack([-fitted.coef_, fitted.coef_]) / 2
        fitted.intercept_ = np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2
    places = [list(fitted.classes_).index(name) for name in order]
    return np.vstack([fitted.coef_[places].T, fitted.intercept_[places]]).astype(np.float32)


def _leads(whole: Split, order: list[str], say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """kind → category → the lead over benign from which to refuse, found on texts of templates that were left out."""
    fold = np.array([_fold(one.template) for one in whole.texts])
    lead = np.zeros((len(whole.texts), len(order) - 1))
    for number in range(FOLDS):
        kept, left = fold != number, fold == number
        weights = _softmax(whole.rows[kept], whole.categories[kept], order, STRENGTH)
        raw = whole.rows[left] @ weights[:-1] + weights[-1]
        lead[left] = raw[:, :-1] - raw[:, -1:]
        say(f"calibrated part {number + 1} of {FOLDS}")
    kinds = np.array([one.kind for one in whole.texts])
    found: dict[str, dict[str, float]] = {}
    for kind, names in CATEGORIES.items():
        found[kind] = {}
        for name in names:
            own = lead[:, order.index(name)]
            counted = kinds == kind
            harmless = own[counted & (whole.categories == BENIGN)]
            meant = own[counted & (whole.categories == name)]
            found[kind][name] = round(_between(harmless, meant), 4)
            recall = float((meant >= found[kind][name]).mean())
            refused = float((harmless >= found[kind][name]).mean())
            say(
                f"{kind} {name}: lead {found[kind][name]:.2f}, recall {recall:.4f}, refused {refused:.4f} (left out)"
            )
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
    weights = save({name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()})
    digest = hashlib.sha256(weights).hexdigest()
    manifest = {
        "version": f"text-filter-{_version(weights, leads)}",
        "sha256": digest,
        "encoder": fingerprint,
        "width": int(tensors["examples"].shape[1]),
        "categories": list(CATEGORIES["clip"]),
        "topics": topics,
        "leads": leads,
        "trained_on": trained_on,
        "examples": [normalise(text) for _, _, text in EXAMPLES],
    }
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    return manifest

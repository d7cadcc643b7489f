"""The encoder's branch: what numpy makes of it is what torch trained, and it costs the vectors nothing."""

import numpy as np
import pytest
import torch
from transformers import BertModel

from safety.scorer import embedding
from safety.scorer.bert import BertEncoder
from safety.scorer.classifier import FOLDER, Classifier
from safety.scorer.engine import Engine
from safety.training import tuning

MODEL = embedding.model_folder("")
TEXTS = (
    "the dog tears a rabbit apart",
    "the dog tears a parcel apart",
    "a man in a red coat waits for a bus",
)

ORDERS = (("the lamp", "the chair"), ("the chair", "the lamp"))


@pytest.fixture(scope="module")
def shipped() -> dict[str, np.ndarray]:
    return Classifier.read(FOLDER, embedding.fingerprint(MODEL)).branch


@torch.no_grad()
def in_torch(branch: dict[str, np.ndarray], text: str) -> float:
    """The same lead by the model's own library: its last layers replaced, all tokens of one text."""
    weights = {name: torch.from_numpy(value.astype(np.float32)) for name, value in branch.items()}
    model = BertModel.from_pretrained(MODEL, local_files_only=True).eval()
    own = {name: value for name, value in weights.items() if not name.startswith("head.")}
    assert not model.load_state_dict(own, strict=False).unexpected_keys
    ids = BertEncoder(MODEL).tokenizer.encode(text).ids
    hidden = model(torch.tensor([ids])).last_hidden_state[0]
    pooled = [hidden.mean(0), hidden.max(0).values]
    unit = torch.cat([one / one.norm() for one in pooled])
    return float(unit @ weights["head.weight"][0] + weights["head.bias"][0])


def test_the_shipped_branch_says_what_torch_says(shipped):
    own = BertEncoder(MODEL, shipped).encode(list(TEXTS), apart=True)[:, -1]
    assert own == pytest.approx([in_torch(shipped, text) for text in TEXTS], abs=2e-3)


def test_vectors_are_the_same_with_a_branch_and_without(shipped):
    plain, branched = BertEncoder(MODEL), BertEncoder(MODEL, shipped)
    assert np.array_equal(plain.encode(list(TEXTS)), branched.encode(list(TEXTS), apart=True)[:, :-1])
    assert np.array_equal(plain.encode(list(TEXTS)), branched.encode(list(TEXTS)))
    assert plain.encode(list(TEXTS), apart=True).shape == plain.encode(list(TEXTS)).shape


def test_who_does_what_to_whom_is_told_apart(shipped):
    violent, tame, calm = BertEncoder(MODEL, shipped).encode(list(TEXTS), apart=True)[:, -1]
    assert violent > tame + 2
    assert violent > calm + 2


def test_a_branch_learns_what_it_is_taught(monkeypatch):
    """The order of two words, which a mean over finished vectors hardly keeps."""
    monkeypatch.setattr(tuning, "PASSES", 40)
    monkeypatch.setattr(tuning, "WARM_UP", 5)
    texts = [f"{first} follows {then} in row {row}" for row in range(64) for first, then in ORDERS]
    lessons = [tuning.Lesson(text, text.startswith(ORDERS[0][0]), 1.0) for text in texts]
    said: list[str] = []
    branch = tuning.tune(MODEL, lessons, said.append)
    assert said
    assert sum(name.endswith("intermediate.dense.weight") for name in branch) == tuning.LAYERS
    unseen = [f"{first} follows {then} in row 999" for first, then in ORDERS]
    taught, other = BertEncoder(MODEL, branch).encode(unseen, apart=True)[:, -1]
    assert taught > 0 > other


def test_code_is_not_asked_about_violence():
    """A text of both kinds is encoded for each: the branch belongs to clips."""
    engine = Engine()
    asked: list[tuple[int, bool]] = []
    encode = engine.encoder.encode
    engine.encoder.encode = lambda texts, apart=False: (
        asked.append((len(texts), apart)) or encode(texts, apart)
    )
    questions = [
        {
            "op": "score",
            "kind": kind,
            "texts": ["a heron lands on a jetty"],
            "examples": kind,
            "example_rows": [],
        }
        for kind in ("clip", "code")
    ]
    clip, code = engine.answer(questions)
    assert sorted(asked) == [(1, False), (1, True)]
    assert "violence" in clip["scores"]
    assert "violence" not in code["scores"]
    engine.answer(questions)
    assert len(asked) == 2, "both are remembered"

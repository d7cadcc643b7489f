"""A BERT sentence encoder in numpy: the same safetensors as its torch original, ready in half a second on one thread.

Several texts are encoded in one go without padding: their tokens stand one after another in one matrix, since all but
attention treats each token by itself.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# erf(x) = tanh(x · P(x²)) to within 4.3e-6 for |x| ≤ 3.2, fitted by least squares; tanh is far faster here than erf.
ERF = (3.299761712471409e-05, -0.0004211355553668151, -0.0004828464801736441, 0.10292255039842861)
ERF_0 = 1.1283599064929746
ERF_BOUND = 3.2


class UnfitModel(ValueError):
    """The folder holds no encoder that this module can run; the message says why."""


class BertEncoder:
    """Texts to unit vectors, the mean of the last layer.

    `tuned` may bring a branch: another form of the last layers, trained to tell a category from harmless texts (see
    `safety.training.tuning`). It starts from the same hidden states, so it costs its own layers and not a second pass.
    """

    def __init__(self, folder: Path, tuned: dict[str, np.ndarray] | None = None) -> None:
        config = json.loads((folder / "config.json").read_text())
        _require_plain_bert(config, folder)
        self.width, self.heads = config["hidden_size"], config["num_attention_heads"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_longest(folder, config))
        self._epsilon = config["layer_norm_eps"]
        weights = load_file(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        types = weights["embeddings.token_type_embeddings.weight"]
        self._places = weights["embeddings.position_embeddings.weight"] + types[0]
        self._start = _norm(weights, "embeddings")
        self._layers = [_Layer(weights, number) for number in range(config["num_hidden_layers"])]
        self.depth = len(self._layers)
        self._branch = _Branch(tuned, self.depth) if tuned else None

    def encode(self, texts: list[str], apart: bool = False) -> np.ndarray:
        """float32 [texts, width]; with what the branch says of each as one more column, if `apart` and there is one.

        Texts longer than the model reads are cut; `scorer.windows` sees to it that none are.
        """
        branch = self._branch if apart else None
        shared = self.depth - len(branch.layers if branch else ())
        hidden, bounds = self.states(texts, shared)
        vectors = _unit(_means(self._on(self._layers[shared:], hidden, bounds), bounds))
        if branch is None:
            return vectors
        return np.hstack([vectors, branch.leads(self._on(branch.layers, hidden, bounds), bounds)])

    def states(self, texts: list[str], layers: int) -> tuple[np.ndarray, list[tuple]]:
        """Hidden states after so many layers, [tokens of all texts, width], and each text's first row and end."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        ends = np.cumsum([len(one) for one in ids])
        bounds = list(zip(ends - [len(one) for one in ids], ends, strict=True))
        hidden = self._words[np.concatenate(ids)]
        hidden += np.concatenate([self._places[: len(one)] for one in ids])
        return self._on(self._layers[:layers], self._normed(hidden, self._start), bounds), bounds

    def _on(self, layers: list["_Layer"], hidden: np.ndarray, bounds: list[tuple]) -> np.ndarray:
        for layer in layers:
            hidden = self._through(layer, hidden, bounds)
        return hidden

    def _through(self, layer: "_Layer", hidden: np.ndarray, bounds: list[tuple]) -> np.ndarray:
        mixed = hidden @ layer.qkv[0]
        mixed += layer.qkv[1]
        seen = np.concatenate([self._attended(mixed[first:last]) for first, last in bounds])
        seen = seen @ layer.attended[0]
        seen += layer.attended[1]
        seen += hidden
        hidden = self._normed(seen, layer.attended_norm)
        wide = hidden @ layer.widened[0]
        wide += layer.widened[1]
        narrow = _gelu(wide) @ layer.narrowed[0]
        narrow += layer.narrowed[1]
        narrow += hidden
        return self._normed(narrow, layer.narrowed_norm)

    def _attended(self, mixed: np.ndarray) -> np.ndarray:
        """Self-attention inside one text; `mixed` is [tokens, 3 · width]: queries, keys, values."""
        tokens, size = len(mixed), self.width // self.heads
        queries, keys, values = mixed.reshape(tokens, 3, self.heads, size).transpose(1, 2, 0, 3)
        weights = queries @ keys.transpose(0, 2, 1)
        weights *= np.float32(size**-0.5)
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ values).transpose(1, 0, 2).reshape(tokens, self.width)

    def _normed(self, hidden: np.ndarray, norm: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        hidden = hidden - hidden.mean(axis=-1, keepdims=True)
        spread = np.einsum("ij,ij->i", hidden, hidden) / np.float32(self.width)
        hidden /= np.sqrt(spread + np.float32(self._epsilon))[:, None]
        hidden *= norm[0]
        hidden += norm[1]
        return hidden


class _Branch:
    """The last layers in another form, and a linear head over the mean and the largest of what they make of a text."""

    def __init__(self, tuned: dict[str, np.ndarray], layers: int) -> None:
        weights = {name: value.astype(np.float32) for name, value in tuned.items()}
        own = [number for number in range(layers) if f"encoder.layer.{number}.output.dense.weight" in weights]
        self.layers = [_Layer(weights, number) for number in own]
        self._head = _linear(weights, "head")

    def leads(self, hidden: np.ndarray, bounds: list[tuple]) -> np.ndarray:
        """float32 [texts, 1]: how far the branch's category leads over a harmless text, as a logarithm of odds."""
        most = np.stack([hidden[first:last].max(axis=0) for first, last in bounds])
        return np.hstack([_unit(_means(hidden, bounds)), _unit(most)]) @ self._head[0] + self._head[1]


class _Layer:
    """One layer's weights, turned so that memory is read in order."""

    def __init__(self, weights: dict[str, np.ndarray], number: int) -> None:
        prefix = f"encoder.layer.{number}."
        own = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
        self.qkv = (
            np.ascontiguousarray(np.concatenate([weights[f"{name}.weight"] for name in own]).T),
            np.concatenate([weights[f"{name}.bias"] for name in own]),
        )
        self.attended = _linear(weights, f"{prefix}attention.output.dense")
        self.attended_norm = _norm(weights, f"{prefix}attention.output")
        self.widened = _linear(weights, f"{prefix}intermediate.dense")
        self.narrowed = _linear(weights, f"{prefix}output.dense")
        self.narrowed_norm = _norm(weights, f"{prefix}output")


def _means(hidden: np.ndarray, bounds: list[tuple]) -> np.ndarray:
    return np.stack([hidden[first:last].mean(axis=0) for first, last in bounds])


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _linear(weights: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"]


def _norm(weights: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    return weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    """x/2 · (1 + erf(x/√2)), the exact GELU but for the fit above."""
    bounded = np.clip(x * np.float32(0.5**0.5), -ERF_BOUND, ERF_BOUND)
    square = bounded * bounded
    fitted = square * np.float32(ERF[0])
    for factor in ERF[1:]:
        fitted += np.float32(factor)
        fitted *= square
    fitted += np.float32(ERF_0)
    fitted *= bounded
    np.tanh(fitted, out=fitted)
    fitted += 1
    fitted *= x
    fitted *= np.float32(0.5)
    return fitted


def _require_plain_bert(config: dict, folder: Path) -> None:
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise UnfitModel(f"a {config.get('model_type')} model, not a BERT with GELU")
    pooling = folder / "1_Pooling" / "config.json"
    if not pooling.exists() or not json.loads(pooling.read_text()).get("pooling_mode_mean_tokens"):
        raise UnfitModel("its sentences aren't the mean of their tokens")


def _longest(folder: Path, config: dict) -> int:
    own = folder / "sentence_bert_config.json"
    most = json.loads(own.read_text()).get("max_seq_length") if own.exists() else None
    return min(most or config["max_position_embeddings"], config["max_position_embeddings"])

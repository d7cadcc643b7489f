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
    """Texts to unit vectors (mean of the last layer), float32 [texts, width]."""

    def __init__(self, folder: Path) -> None:
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

    def encode(self, texts: list[str]) -> np.ndarray:
        """Texts longer than the model reads are cut; `scorer.windows` sees to it that none are."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        ends = np.cumsum([len(one) for one in ids])
        bounds = list(zip(ends - [len(one) for one in ids], ends, strict=True))
        hidden = self._words[np.concatenate(ids)]
        hidden += np.concatenate([self._places[: len(one)] for one in ids])
        hidden = self._normed(hidden, self._start)
        for layer in self._layers:
            hidden = self._through(layer, hidden, bounds)
        means = np.stack([hidden[first:last].mean(axis=0) for first, last in bounds])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

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

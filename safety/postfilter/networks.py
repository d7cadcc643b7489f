"""The image models themselves, with their libraries; only workers import this (see models.py)."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from safety.postfilter.models import ModelFiles, ModelUnusable, Network


def load(files: ModelFiles) -> Network:
    """The model of a folder with transformers' config.json, or of a file that ends in .onnx."""
    _check_weights(files)
    try:
        if files.path.suffix == ".onnx":
            return _OnnxNetwork(files)
        return _FolderNetwork(files)
    except ModelUnusable:
        raise
    except Exception as error:  # every library has its own way to fail; here they all mean the same
        raise ModelUnusable(
            f"{files.path.name} can't be loaded: {type(error).__name__}: {error}"[:300]
        ) from error


def _check_weights(files: ModelFiles) -> None:
    weights = files.path if files.path.suffix == ".onnx" else files.path / "model.safetensors"
    if not weights.is_file():
        raise ModelUnusable(f"there is no {weights.name} at {files.path}")
    if files.sha256:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != files.sha256:
            raise ModelUnusable(f"{weights.name} has the sha256 {found}, not the one that was named")


class _FolderNetwork:
    """AutoModelForImageClassification, or AutoModel for embeddings, with the folder's own preprocessing."""

    def __init__(self, files: ModelFiles) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

        self._torch, self._device = torch, torch.device(files.device)
        offline = {"local_files_only": True, "trust_remote_code": False}
        self._processor = AutoImageProcessor.from_pretrained(files.path, backend="pil", **offline)
        kind = AutoModelForImageClassification if files.task == "classify" else AutoModel
        model, told = kind.from_pretrained(
            files.path, use_safetensors=True, output_loading_info=True, **offline
        )
        if told["missing_keys"] or told.get("mismatched_keys"):
            # Left alone they would be random numbers: a classifier that guesses.
            raise ModelUnusable(
                f"{files.path.name} lacks weights: {', '.join(sorted(told['missing_keys']))[:120]}"
            )
        self._model = model.eval().to(self._device)
        self._classify = files.task == "classify"
        names = model.config.id2label if self._classify else {}
        self.labels = tuple(names[place] for place in sorted(names))
        self._independent = model.config.problem_type == "multi_label_classification"

    def run(self, frames: np.ndarray) -> np.ndarray:
        pictures = [Image.fromarray(frame) for frame in frames]
        with self._torch.inference_mode():
            inputs = self._processor(images=pictures, return_tensors="pt").to(self._device)
            output = self._model(**inputs)
            if not self._classify:
                return _pooled(output).float().cpu().numpy()
            logits = output.logits.float()
            probabilities = logits.sigmoid() if self._independent else logits.softmax(dim=-1)
            return probabilities.cpu().numpy()


def _pooled(output: Any) -> Any:
    pooled = getattr(output, "pooler_output", None)
    return output.last_hidden_state.mean(dim=1) if pooled is None else pooled.flatten(1)


class _OnnxNetwork:
    """An ONNX file with a JSON of the same name beside it, which says how a frame is prepared and what comes out.

    {"size": [height, width], "mean": [r, g, b], "std": [r, g, b], "labels": […], "output": "softmax" | "sigmoid" |
    "probabilities" | "embedding"}; pixels are shares of 1 before mean and std, channels first.
    """

    def __init__(self, files: ModelFiles) -> None:
        import onnxruntime

        about = json.loads(files.path.with_suffix(".json").read_text(encoding="utf-8"))
        self._height, self._width = about["size"]
        self._mean = np.array(about.get("mean", [0.5] * 3), np.float32)
        self._std = np.array(about.get("std", [0.5] * 3), np.float32)
        self.labels = tuple(about.get("labels", ()))
        self._activation = ACTIVATIONS[about["output"]]
        if (files.task == "classify") != bool(self.labels) or (files.task == "embed") != (
            about["output"] == "embedding"
        ):
            raise ModelUnusable(f"{files.path.name} is no model to {files.task} with")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        providers = ["CUDAExecutionProvider"] if files.device.startswith("cuda") else []
        self._session = onnxruntime.InferenceSession(
            files.path, options, providers=[*providers, "CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def run(self, frames: np.ndarray) -> np.ndarray:
        pixels = np.stack([self._prepared(frame) for frame in frames])
        (numbers, *_) = self._session.run(None, {self._input: pixels})
        return self._activation(np.asarray(numbers, np.float32))

    def _prepared(self, frame: np.ndarray) -> np.ndarray:
        small = Image.fromarray(frame).resize((self._width, self._height), Image.Resampling.BILINEAR)
        return ((np.asarray(small, np.float32) / 255 - self._mean) / self._std).transpose(2, 0, 1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _as_they_are(numbers: np.ndarray) -> np.ndarray:
    return numbers


ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "probabilities": _as_they_are,
    "embedding": _as_they_are,
}

"""Small real models for the gates: transformers folders with random weights, ONNX files that do something plain."""

import hashlib
import json
from pathlib import Path

import numpy as np

LABELS = ("harmless", "explicit", "gore")
SIDE = 16


def write_vit(folder: Path, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Path:
    """A Vision Transformer that classifies, of two layers."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=SIDE,
        patch_size=8,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    _processor(folder)
    return folder


def write_vit_body(folder: Path, seed: int = 0) -> Path:
    """The same without a head: its pooled output is an embedding."""
    import torch
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ViTModel(ViTConfig(**sizes, image_size=SIDE, patch_size=8)).save_pretrained(folder)
    _processor(folder)
    return folder


def _processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "ViTImageProcessor",
                "do_resize": True,
                "size": {"height": SIDE, "width": SIDE},
                "do_rescale": True,
                "rescale_factor": 1 / 255,
                "do_normalize": True,
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
            }
        )
    )


def write_colour_onnx(path: Path, labels: tuple[str, ...] = ("red", "green", "blue")) -> Path:
    """Which of three colours a frame is: the mean of each channel, times ten, through a softmax."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "ten"], ["logits"]),
    ]
    return _write_onnx(
        path,
        helper.make_graph(
            nodes,
            "colour",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
            [numpy_helper.from_array(np.array(10, np.float32), "ten")],
        ),
        {"labels": list(labels), "output": "softmax"},
        onnx,
    )


def write_embedding_onnx(path: Path) -> Path:
    """The frame itself, made small: alike pictures have alike embeddings."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Reshape", ["pixels", "shape"], ["embedding"])],
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3 * SIDE * SIDE])],
        [numpy_helper.from_array(np.array([-1, 3 * SIDE * SIDE], np.int64), "shape")],
    )
    return _write_onnx(path, graph, {"output": "embedding"}, onnx)


def _write_onnx(path: Path, graph, about: dict, onnx) -> Path:
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    path.with_suffix(".json").write_text(json.dumps({"size": [SIDE, SIDE], **about}))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""The vLLM of the benchmark: the code model that ships, as slow as a larger one, on a processor of its own.

Two sizes. `DEEP` is pocket-code with layers added. `WIDE` reads as many weights in a step as a coder of half a billion
parameters: layers of the shape of Qwen2.5-Coder-0.5B's (896 wide, 4,864 within), and as many more of them as its large
vocabulary weighs. pocket-code lies in a corner of the first layers; what was added computes as much as the rest and
contributes nothing (its last matrices are zero). So the answers are pocket-code's, up to rounding, and the text filter
reads what it always reads, while a step takes its time.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from console.supervisor.programs import PROJECT

PYTHON = PROJECT / "var/vllm/venv/bin/python"
SOURCE = PROJECT / "generation/weights/pocket-code"
CONTEXT = 2048
READY_WITHIN_S = 600


@dataclass(frozen=True)
class Size:
    """`hidden` is the width of a layer and `within` that inside of it; heads are as wide as pocket-code's own."""

    layers: int
    hidden: int
    within: int
    heads: int
    kv_heads: int


DEEP = Size(32, 192, 512, 6, 6)
WIDE = Size(33, 896, 4864, 28, 7)  # 0.5 billion parameters


def write_model(folder: Path, size: Size = DEEP) -> Path:
    """pocket-code inside a model of that size, with room for longer prompts than it was trained with."""
    shutil.copytree(SOURCE, folder)
    config = json.loads((folder / "config.json").read_text())
    own = load_file(folder / "model.safetensors")
    share = (
        config["hidden_size"] / size.hidden
    )  # of the columns, those that aren't zero: a norm divides by all
    tensors = {}
    for name, tensor in own.items():
        if not name.startswith("model.layers."):
            tensors[name] = _widened(name, tensor, size, share)
    for layer in range(size.layers):
        for name in [name for name in own if name.startswith("model.layers.0.")]:
            at = name.replace("layers.0.", f"layers.{layer}.")
            tensors[at] = _widened(name, own.get(at, own[name]), size, share)
            if at not in own and name.endswith(("o_proj.weight", "down_proj.weight")):
                tensors[at].zero_()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config |= {"num_hidden_layers": size.layers, "max_position_embeddings": CONTEXT}
    config |= {"hidden_size": size.hidden, "intermediate_size": size.within}
    config |= {"num_attention_heads": size.heads, "num_key_value_heads": size.kv_heads}
    config["rms_norm_eps"] *= share
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _widened(name: str, tensor: torch.Tensor, size: Size, share: float) -> torch.Tensor:
    """A matrix in the corner of a larger one, heads far enough apart that none shares its keys with another."""
    if name.endswith("norm.weight"):
        wide = torch.zeros(size.hidden, dtype=tensor.dtype)
        wide[: len(tensor)] = tensor * share**0.5
        return wide
    part, head = name.removesuffix(".weight").rpartition(".")[2], size.hidden // size.heads
    rows = {
        "embed_tokens": tensor.shape[0],
        "k_proj": size.kv_heads * head,
        "v_proj": size.kv_heads * head,
        "gate_proj": size.within,
        "up_proj": size.within,
    }.get(part, size.hidden)
    wide = torch.zeros(rows, size.within if part == "down_proj" else size.hidden, dtype=tensor.dtype)
    there = [torch.arange(length) for length in tensor.shape]
    if part in ("q_proj", "o_proj"):
        heads = 0 if part == "q_proj" else 1
        apart = (size.heads // size.kv_heads - 1) * head
        there[heads] = there[heads] + there[heads] // head * apart
    wide[there[0][:, None], there[1]] = tensor
    return wide


@contextmanager
def running(folder: Path, port: int, name: str) -> Iterator[str]:
    """The server's address. Where there are two cores or more it has the first to itself, and all else the others."""
    cores = sorted(os.sched_getaffinity(0))
    own, others = (cores[:1], cores[1:]) if len(cores) > 1 else (cores, cores)
    environment = os.environ | {"VLLM_MODEL": str(folder), "VLLM_PORT": str(port), "VLLM_NAME": name}
    environment["VLLM_CPUS"] = str(own[0])
    os.sched_setaffinity(0, own)  # what is started inherits it
    server = subprocess.Popen([PYTHON, PROJECT / "deploy/vllm/up.py"], env=environment, stdout=sys.stderr)
    os.sched_setaffinity(0, others)
    try:
        _wait(server, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)
        os.sched_setaffinity(0, cores)


def _wait(server: subprocess.Popen, url: str) -> None:
    ends_at = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < ends_at:
        if server.poll() is not None:
            raise RuntimeError("vLLM ended before it was ready")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"vLLM was not ready within {READY_WITHIN_S} s")

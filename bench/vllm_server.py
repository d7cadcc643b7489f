"""The vLLM of the benchmark: the code model that ships, as slow as a large one, on a processor of its own.

The model is pocket-code with layers added that compute as much as the others and add nothing (their last matrices are
zero): the answers are pocket-code's, so that the text filter reads what it always reads, and a step takes its time.
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
from pathlib import Path

from safetensors.torch import load_file, save_file

from console.supervisor.programs import PROJECT

PYTHON = PROJECT / "var/vllm/venv/bin/python"
SOURCE = PROJECT / "generation/weights/pocket-code"
LAYERS = 32
CONTEXT = 2048
READY_WITHIN_S = 600


def write_model(folder: Path) -> Path:
    """pocket-code with idle layers, and room for longer prompts than it was trained with."""
    shutil.copytree(SOURCE, folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    own = config["num_hidden_layers"]
    for layer in range(own, LAYERS):
        for name in [name for name in tensors if name.startswith("model.layers.0.")]:
            tensor = tensors[name].clone()
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                tensor.zero_()
            tensors[name.replace("layers.0.", f"layers.{layer}.")] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config |= {"num_hidden_layers": LAYERS, "max_position_embeddings": CONTEXT}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


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

"""What a model needs in memory, what is free, and the most that was used."""

import json
import math
import os
import re
import resource
from pathlib import Path

import torch

from generation.engines.errors import ModelUnavailable
from generation.engines.facts import ModelFacts
from generation.engines.options import EngineOptions
from generation.engines.shapes import Grid, fit, ltx_grid

BYTES = {"fp32": 4, "bf16": 2, "int8": 2, "fp8": 2}
QUANTIZED = {"int8": 1, "fp8": 1}
# Files of another precision lie beside the plain ones in some folders, and are not loaded.
PLAIN = re.compile(r"(?:diffusion_pytorch_model|model)(?:-\d+-of-\d+)?\.safetensors")
CGROUP = Path("/sys/fs/cgroup")


def weight_bytes(folder: Path, precision: str, *, on_device: bool) -> dict[str, int]:
    """Bytes of each part's weights. A quantized transformer is loaded in bf16 first: on the host it counts in full."""
    needed = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        numbers = sum(_numbers(path) for path in part.glob("*.safetensors") if PLAIN.fullmatch(path.name))
        if numbers:
            quantized = on_device and part.name == "transformer"
            width = QUANTIZED.get(precision, BYTES[precision]) if quantized else BYTES[precision]
            needed[part.name] = numbers * width
    return needed


def activation_bytes(folder: Path, precision: str, facts: ModelFacts, options: EngineOptions) -> int:
    """An estimate of the largest stage beside the weights, for the largest shape offered.

    Denoising: a block holds about 8 copies of the tokens and two of the hidden layer in 4 bytes (norms and residuals
    are fp32). Decoding: the widest layer keeps about 6 copies of one latent's frames at full size (or of a tile), and
    the frames themselves 3 colours in 6 bytes. The two are not there at once.
    """
    transformer, vae = _config(folder, "transformer"), _config(folder, "vae")
    grid = _grid(transformer, vae)
    most = 0
    width_of_token = transformer["num_attention_heads"] * transformer["attention_head_dim"]
    hidden = transformer.get("ffn_dim", 4 * width_of_token)
    widest = vae["decoder_block_out_channels"][0] if _is_ltx(vae) else vae.get("base_dim", 96)
    for width, height, frames in facts.shapes:
        shape = fit(width, height, frames, grid)
        tokens = shape.patches // math.prod(grid.patch)
        denoising = tokens * (8 * width_of_token + 2 * hidden) * 4
        pixels = shape.width * shape.height
        at_once = min(pixels, options.tile_pixels**2) if pixels > options.tile_above_pixels else pixels
        cells = at_once // (vae.get("patch_size") or 1) ** 2
        decoding = 6 * cells * grid.in_time * widest * BYTES[precision]
        most = max(most, denoising, decoding + shape.frames * pixels * 3 * 6)
    return most


def _grid(transformer: dict, vae: dict) -> Grid:
    if _is_ltx(vae):
        return ltx_grid(vae, transformer)
    patch = tuple(transformer.get("patch_size", (1, 2, 2)))
    return Grid(vae.get("scale_factor_temporal", 4), vae.get("scale_factor_spatial", 8), patch, longest=10**9)


def _is_ltx(vae: dict) -> bool:
    return "spatio_temporal_scaling" in vae


def require(
    folder: Path, precision: str, device: torch.device, facts: ModelFacts, options: EngineOptions
) -> None:
    """Refuse a model that does not fit, before anything of it is read. Raises ModelUnavailable with both numbers."""
    on_host = weight_bytes(folder, precision, on_device=False)
    working = activation_bytes(folder, precision, facts, options)
    if device.type == "cuda":
        parts = weight_bytes(folder, precision, on_device=True)
        resident = max(parts.values(), default=0) if options.offload else sum(parts.values())
        _refuse_above(
            folder, resident + working, free_bytes(device), f"on {torch.cuda.get_device_name(device)}"
        )
        working = 0
    _refuse_above(folder, sum(on_host.values()) + working, free_bytes(torch.device("cpu")), "on this machine")


def free_bytes(device: torch.device) -> int:
    """Bytes that can still be taken: of a GPU as its driver says, of the host within the container's limit."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not Path("/proc/meminfo").exists():  # macOS does not tell what is free: all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = int(re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        # What files keep in memory counts as used by the container, and makes room when it is needed.
        kept = int(re.search(r"^file (\d+)$", (CGROUP / "memory.stat").read_text(), re.MULTILINE)[1])
        free = min(free, max(int(limit.read_text()) - int(used.read_text()) + kept, 0))
    return free


def forget_peak(device: torch.device) -> None:
    """Begin to count anew, for a clip of its own. Where the kernel can't, the most of the process stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the high-water mark of the whole process is what there is
        return


def peak_bytes(device: torch.device) -> int:
    """The most in use since `forget_peak`: allocated on a GPU, resident in the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    except OSError:  # not Linux: the process's most ever
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, where it is not Linux


def _refuse_above(folder: Path, needed: int, free: int, where: str) -> None:
    if needed > free:
        raise ModelUnavailable(
            f"{folder.name} needs about {needed / 1e9:.1f} GB {where}, and {free / 1e9:.1f} GB are free."
        )


def _numbers(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header (8 bytes of length, then JSON)."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _config(folder: Path, part: str) -> dict:
    path = folder / part / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error

"""Stage 3 of pocket-video: rendered clips as latents on disk; the denoiser never renders."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from generation.engines.training.architecture import (
    LATENT_CHANNELS,
    LATENT_FRAMES,
    LATENT_SIZE,
    SPATIAL_FACTOR,
    new_autoencoder,
)
from generation.engines.training.frame_autoencoder import FrameAutoencoder
from generation.engines.training.run_state import half_precision, load_checkpoint, pick_device
from generation.engines.training.train_vae import to_model_range
from generation.engines.training.world import Scene, draw_scenes, render_with_masks

CLIPS = 12_000
SEED = 303
CLIPS_AT_ONCE = 8


@dataclass(frozen=True)
class LatentCache:
    """Memory-mapped training clips.

    latents: (n, LATENT_CHANNELS, 16, 16, 16) float16, not normalized; cells: (n, 16, 16, 16) uint8, 1 where the
    object is; mean, std: (LATENT_CHANNELS,) of the latents.
    """

    latents: np.ndarray
    cells: np.ndarray
    scenes: list[Scene]
    mean: np.ndarray
    std: np.ndarray


def load_frame_autoencoder(work: Path) -> FrameAutoencoder:
    """The trained autoencoder of a work folder, in its 2-D form."""
    model = FrameAutoencoder(new_autoencoder())
    model.wan.load_state_dict(load_checkpoint(work / "vae.pt")["model"])
    return model.eval().requires_grad_(False)


def object_cells(masks: np.ndarray) -> np.ndarray:
    """(T, 64, 64) coverage to (T, 16, 16) uint8: 1 where a latent cell holds some of the object."""
    blocks = masks.reshape(len(masks), LATENT_SIZE, SPATIAL_FACTOR, LATENT_SIZE, SPATIAL_FACTOR)
    return (blocks.max(axis=(2, 4)) > 0.05).astype(np.uint8)


def build_cache(work: Path, clips: int = CLIPS) -> None:
    """Render and encode scenes up to `clips` of them; goes on where an interrupted run stopped."""
    device = pick_device()
    model = load_frame_autoencoder(work).to(device)
    facts = _facts(work)
    if facts["done"] < clips:
        _fill(work, facts["done"], clips, model, device)
        facts = _facts(work)
    if "mean" not in facts:
        sample = np.load(work / "latents.npy", mmap_mode="r")[: min(4000, clips)].astype(np.float32)
        scenes = draw_scenes(64, SEED)
        variance = sample.var(axis=(0, 2, 3, 4)) + _posterior_variance(scenes, model, device)
        mean = sample.mean(axis=(0, 2, 3, 4))
        _note(work, facts["done"], mean=mean.tolist(), std=np.sqrt(variance).tolist())


def _fill(work: Path, done: int, clips: int, model: FrameAutoencoder, device: torch.device) -> None:
    """Encode the scenes from number `done` on; a file that is there already keeps its length."""
    shape = (clips, LATENT_CHANNELS, LATENT_FRAMES, LATENT_SIZE, LATENT_SIZE)
    mode = "r+" if done else "w+"
    latents = np.lib.format.open_memmap(work / "latents.npy", mode, np.float16, shape)
    cells = np.lib.format.open_memmap(work / "cells.npy", mode, np.uint8, (clips, *shape[2:]))
    clips = min(clips, len(latents))
    scenes = draw_scenes(clips, SEED)
    for first in range(done, clips, CLIPS_AT_ONCE):
        group = slice(first, min(first + CLIPS_AT_ONCE, clips))
        latents[group], cells[group] = _encode(scenes[group], model, device)
        if first % 800 == 0:
            _note(work, group.stop)
            print(f"latents {group.stop}/{clips}", flush=True)
    latents.flush()
    _note(work, clips)


def _facts(work: Path) -> dict:
    """How many clips are done and, when all are, the channels' `mean` and `std`."""
    path = work / "latents.json"
    return json.loads(path.read_text()) if path.exists() else {"done": 0}


def _note(work: Path, done: int, **facts: list[float]) -> None:
    """Write how far the cache is and what is known of it."""
    (work / "latents.json").write_text(json.dumps({"done": done, **facts}))


@torch.no_grad()
def _posterior_variance(scenes: list[Scene], model: FrameAutoencoder, device: torch.device) -> np.ndarray:
    """(LATENT_CHANNELS,) mean variance that the encoder allows each latent number."""
    frames = np.concatenate([render_with_masks(scene, np.array([0]))[0] for scene in scenes])
    _, log_variance = model.encode(to_model_range(frames, device))
    return log_variance.exp().mean(dim=(0, 2, 3)).cpu().numpy()


@torch.no_grad()
def _encode(
    scenes: list[Scene], model: FrameAutoencoder, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    rendered = [render_with_masks(scene) for scene in scenes]
    frames = to_model_range(np.concatenate([pictures for pictures, _ in rendered]), device)
    with half_precision(device):
        mean, _ = model.encode(frames)
    mean = mean.unflatten(0, (len(scenes), LATENT_FRAMES)).transpose(1, 2)
    return mean.cpu().numpy().astype(np.float16), np.stack([object_cells(masks) for _, masks in rendered])


def open_cache(work: Path) -> LatentCache:
    """The finished part of a work folder's cache."""
    facts = _facts(work)
    done = facts["done"]
    return LatentCache(
        np.load(work / "latents.npy", mmap_mode="r")[:done],
        np.load(work / "cells.npy", mmap_mode="r")[:done],
        draw_scenes(done, SEED),
        np.array(facts["mean"], np.float32),
        np.array(facts["std"], np.float32),
    )

"""Stage 1 of pocket-video: the frame autoencoder."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from generation.engines.training.architecture import LATENT_CHANNELS, LATENT_SIZE, new_autoencoder
from generation.engines.training.frame_autoencoder import FrameAutoencoder
from generation.engines.training.run_state import (
    Budget,
    Every,
    half_precision,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    warm_then_decay,
)
from generation.engines.training.world import FRAMES, draw_scenes, render_with_masks

BATCH = 32
LEARNING_RATE = 2e-3
# Enough for a decoder that forgives small errors of the denoiser, too little to blur edges.
KL_WEIGHT = 3e-4
FOREGROUND_WEIGHT = 4.0
POOL_SCENES = 12_000
FRAMES_PER_SCENE = 2
SEED = 101


def render_pool(scenes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (n, 64, 64, 3) uint8 and masks (n, 64, 64) uint8 of random scenes at random moments."""
    rng = np.random.default_rng(seed)
    pictures, masks = [], []
    for scene in draw_scenes(scenes, seed, held_out=None):
        moments = rng.choice(FRAMES, FRAMES_PER_SCENE, replace=False)
        frames, coverage = render_with_masks(scene, moments)
        pictures.append(frames)
        masks.append(np.rint(coverage * 255).astype(np.uint8))
    return np.concatenate(pictures), np.concatenate(masks)


def to_model_range(pictures: np.ndarray, device: torch.device) -> torch.Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) float in -1..1."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def reconstruction_loss(made: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """L1 + 2 MSE + L1 of both image gradients, the object and a rim around it weighted."""
    near = F.max_pool2d(mask[:, None], 5, stride=1, padding=2)
    weight = 1.0 + (FOREGROUND_WEIGHT - 1.0) * near
    difference = made - wanted
    loss = (weight * (difference.abs() + 2.0 * difference.square())).mean()
    across = difference[..., :, 1:] - difference[..., :, :-1]
    along = difference[..., 1:, :] - difference[..., :-1, :]
    return loss + (weight[..., :, 1:] * across.abs()).mean() + (weight[..., 1:, :] * along.abs()).mean()


def kl_to_normal(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence to N(0, 1) in nats per latent number."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()


def train_vae(work: Path, minutes: float) -> None:
    """Train within the budget; the result and every checkpoint are `work/vae.pt`."""
    device = pick_device()
    torch.manual_seed(SEED)
    model = FrameAutoencoder(new_autoencoder()).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    state = load_checkpoint(work / "vae.pt")
    used, step = 0.0, 0
    if state is not None:
        model.wan.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        used, step = state["seconds"], state["step"]
    budget = Budget(minutes * 60, used)
    if budget.progress >= 1.0:
        return
    pictures, masks = render_pool(POOL_SCENES, SEED + step)
    run = torch.compile(model)
    rng = np.random.default_rng(SEED + 1 + step)
    save_due, report_due = Every(120), Every(20)
    while budget.progress < 1.0:
        loss, error = _step(run, model, optimizer, pictures, masks, rng, budget.progress)
        step += 1
        if report_due.due():
            psnr = -10 * np.log10(error.item() / 4)
            print(f"vae step {step} {budget.used:.0f}s loss {loss.item():.4f} psnr {psnr:.2f}", flush=True)
        if save_due.due():
            _save(work, model, optimizer, budget, step)
    _save(work, model, optimizer, budget, step)


def _step(run, model, optimizer, pictures, masks, rng, progress):
    """One update; returns the loss and the mean squared error, as tensors."""
    device = next(model.parameters()).device
    chosen = rng.integers(0, len(pictures), BATCH)
    frames = to_model_range(pictures[chosen], device)
    mask = torch.from_numpy(masks[chosen]).to(device).float() / 255
    if rng.random() < 0.5:
        frames, mask = frames.flip(-1), mask.flip(-1)
    noise = torch.randn(BATCH, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE, device=device)
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE * warm_then_decay(progress, decay_from=0.5)
    with half_precision(device):
        made, mean, log_variance = run(frames, noise)
    loss = reconstruction_loss(made, frames, mask) + KL_WEIGHT * kl_to_normal(mean, log_variance)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach(), (made.detach().clamp(-1, 1) - frames).square().mean()


def _save(work: Path, model: FrameAutoencoder, optimizer, budget: Budget, step: int) -> None:
    save_checkpoint(
        work / "vae.pt",
        {
            "model": model.wan.state_dict(),
            "optimizer": optimizer.state_dict(),
            "seconds": budget.used,
            "step": step,
        },
    )

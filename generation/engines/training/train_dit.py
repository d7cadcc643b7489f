"""Stage 4 of pocket-video: the denoiser, by flow matching on cached latents.

x_t = (1 - t) x + t n for a clip's latent x, noise n and t in 0..1; the network learns the velocity n - x,
which is what the shipped flow-match Euler scheduler integrates (Lipman et al. 2022; Liu et al. 2022). On a
machine without a GPU two processes of one thread each share the batch over gloo, which is faster there than
one process of two threads.
"""

import os
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from diffusers import WanTransformer3DModel

from generation.engines.training.architecture import new_transformer
from generation.engines.training.captions import caption
from generation.engines.training.latent_cache import LatentCache, open_cache
from generation.engines.training.muon import Muon
from generation.engines.training.plain_attention import use_plain_attention
from generation.engines.training.run_state import (
    Budget,
    Every,
    half_precision,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    warm_then_decay,
)
from generation.engines.training.train_text import encode_captions, load_text

BATCH_PER_PROCESS = {"cpu": 32, "cuda": 256}
ADAM_RATE, MUON_RATE = 1e-3, 0.02
EMA_DECAY = 0.998
CHANCE_WITHOUT_TEXT = 0.1
# The object fills a sixth of the picture; without a weight the background rules the loss. Where the object's place
# is still open a weight would only make the guess too full of objects, so very noisy t get none.
OBJECT_WEIGHT, OBJECT_WEIGHT_BELOW = 3.0, 0.7
# 41 % of the samples at t > 0.9: an object covers so many latent numbers that its place and shape are decided there.
TIME_MEAN, TIME_SPREAD = 1.9, 1.3
# The shapes that are learned last (points and corners are small) are drawn more often; the captions stay the same.
SHAPE_WEIGHTS = {"star": 2.0, "square": 1.3}
SEED = 404
SAVE_EVERY_SECONDS = 240
PASS_THROUGH = 0.8


def start_as_pass_through(transformer: WanTransformer3DModel) -> None:
    """Start as v = 0.8 x_t, near the best linear guess at noisy t; the blocks add to it.

    The patch embedding is orthonormal, and the output is its transpose: a token's numbers take up a part of
    the width and can pass, which matters because a velocity holds all of the noise.
    """
    with torch.no_grad():
        weight = transformer.patch_embedding.weight
        width, numbers = weight.shape[0], weight[0].numel()
        torch.nn.init.orthogonal_(weight.view(width, numbers))
        transformer.patch_embedding.bias.zero_()
        # The last norm scales a token of unit-variance numbers by sqrt(width / numbers).
        back = weight.permute(2, 3, 4, 1, 0).reshape(numbers, width)
        transformer.proj_out.weight.copy_(back * PASS_THROUGH * (numbers / width) ** 0.5)
        transformer.proj_out.bias.zero_()
        transformer.scale_shift_table.zero_()
        for block in transformer.blocks:
            torch.nn.init.zeros_(block.attn2.to_out[0].weight)
            torch.nn.init.zeros_(block.attn2.to_out[0].bias)


def draw_times(count: int) -> torch.Tensor:
    """(count,) noise levels, logit-normal and moved to the noisy side as the sampler's steps are."""
    return torch.sigmoid(TIME_MEAN + TIME_SPREAD * torch.randn(count))


def velocity_loss(
    made: torch.Tensor, wanted: torch.Tensor, cells: torch.Tensor, t: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of (B, C, T, 16, 16) velocities; object cells (B, T, 16, 16) weigh more."""
    extra = (OBJECT_WEIGHT - 1.0) * cells * (t < OBJECT_WEIGHT_BELOW).float()[:, None, None, None]
    weight = 1.0 + extra
    error = (made.float() - wanted).square().mean(dim=1)
    return (weight * error).sum() / weight.sum()


class Batches:
    """Random training batches: latents, object cells and captions, forwards or backwards in time."""

    def __init__(self, cache: LatentCache, work: Path, seed: int, device: torch.device) -> None:
        self.cache, self.device = cache, device
        self.rng = np.random.default_rng(seed)
        self.tokenizer, encoder = load_text(work)
        self.encoder = encoder.to(device)
        self.mean = torch.from_numpy(cache.mean)[None, :, None, None, None]
        self.std = torch.from_numpy(cache.std)[None, :, None, None, None]
        weights = np.array([SHAPE_WEIGHTS.get(scene.shape, 1.0) for scene in cache.scenes])
        self.chances = weights / weights.sum()

    def next(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalized latents (B, C, 16, 16, 16), cells (B, 16, 16, 16) and text states (B, 64, 128)."""
        chosen = np.sort(self.rng.choice(len(self.cache.scenes), count, replace=False, p=self.chances))
        latents = torch.from_numpy(self.cache.latents[chosen].astype(np.float32))
        cells = torch.from_numpy(self.cache.cells[chosen].astype(np.float32))
        backwards = torch.from_numpy(self.rng.random(count) < 0.5)
        latents = torch.where(backwards[:, None, None, None, None], latents.flip(2), latents)
        cells = torch.where(backwards[:, None, None, None], cells.flip(1), cells)
        sentences = [self._sentence(int(i), bool(b)) for i, b in zip(chosen, backwards, strict=True)]
        with torch.no_grad():
            text = encode_captions(sentences, self.tokenizer, self.encoder, self.device)
        return ((latents - self.mean) / self.std).to(self.device), cells.to(self.device), text

    def _sentence(self, index: int, backwards: bool) -> str:
        if self.rng.random() < CHANCE_WITHOUT_TEXT:
            return ""
        scene = self.cache.scenes[index]
        return caption(scene.reversed_in_time() if backwards else scene, self.rng)


class DenoiserTraining:
    """The transformer, its moving average, its optimizers and the count of samples."""

    def __init__(self, work: Path, device: torch.device) -> None:
        self.path, self.device = work / "dit.pt", device
        torch.manual_seed(SEED)
        self.model = new_transformer().to(device)
        start_as_pass_through(self.model)
        if device.type == "cpu":
            use_plain_attention(self.model)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        named = list(self.model.named_parameters())
        inside = [p for n, p in named if n.startswith("blocks.") and p.ndim == 2]
        rest = [p for n, p in named if not (n.startswith("blocks.") and p.ndim == 2)]
        self.optimizers = [
            Muon(inside, lr=MUON_RATE, weight_decay=0.02),
            torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.rates = [MUON_RATE, ADAM_RATE]
        self.seconds, self.samples, self.steps = 0.0, 0, 0
        state = load_checkpoint(self.path)
        if state is not None:
            self._restore(state)

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.average = {k: v.to(self.device) for k, v in state["average"].items()}
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.seconds, self.samples, self.steps = state["seconds"], state["samples"], state["steps"]

    def save(self, seconds: float) -> None:
        """Atomic checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "seconds": seconds,
            "samples": self.samples,
            "steps": self.steps,
        }
        save_checkpoint(self.path, state)

    def update(self, run, batch, progress: float) -> torch.Tensor:
        """One step on this process's share of the batch; returns the loss of that share."""
        clean, cells, text = batch
        t = draw_times(len(clean)).to(self.device)
        noise = torch.randn_like(clean)
        level = t[:, None, None, None, None]
        noisy = (1 - level) * clean + level * noise
        with half_precision(self.device):
            made = run(noisy, t * 1000, text, return_dict=False)[0]
        loss = velocity_loss(made, noise - clean, cells, t)
        loss.backward()
        average_gradients(self.model)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        factor = warm_then_decay(progress, decay_from=0.5)
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.samples += len(clean) * processes()
        self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(EMA_DECAY, (1 + self.steps) / (10 + self.steps))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)


def processes() -> int:
    """How many processes share the batch."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average_gradients(model: torch.nn.Module) -> None:
    """One exchange of all gradients as one vector."""
    if processes() == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= processes()
    for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(piece.view_as(gradient))


def agreed_seconds(seconds: float) -> float:
    """The first process's clock, so that all take the same schedule and stop at the same step."""
    if processes() == 1:
        return seconds
    shared = torch.tensor([seconds], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return float(shared.item())


def orphaned() -> bool:
    """Whether the command that started this process has been killed; its processes must not outlive it."""
    parent = torch.multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _train(work: Path, minutes: float, rank: int) -> None:
    device = pick_device()
    training = DenoiserTraining(work, device)
    batches = Batches(open_cache(work), work, SEED + rank + 1000 * training.steps, device)
    torch.manual_seed(SEED + 7 * rank + 1000 * training.steps)
    run = torch.compile(training.model)
    budget = Budget(minutes * 60, training.seconds)
    count = BATCH_PER_PROCESS[device.type]
    losses: list[float] = []
    report_due, save_due = Every(30), Every(SAVE_EVERY_SECONDS)
    while (used := agreed_seconds(budget.used)) < budget.seconds and not orphaned():
        losses.append(training.update(run, batches.next(count), used / budget.seconds).item())
        if rank == 0 and report_due.due():
            print(f"dit {used:.0f}s samples {training.samples} loss {np.mean(losses):.4f}", flush=True)
            losses.clear()
        if rank == 0 and save_due.due():
            training.save(used)
    if rank == 0:
        training.save(budget.used)


def _process(rank: int, work: Path, minutes: float, count: int, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=timedelta(minutes=15)
    )
    _train(work, minutes, rank)
    dist.destroy_process_group()


def train_dit(work: Path, minutes: float) -> None:
    """Train within the budget; the result and every checkpoint are `work/dit.pt`."""
    count = 1 if pick_device().type == "cuda" else max(1, min(2, os.cpu_count() or 1))
    if count == 1:
        _train(work, minutes, 0)
        return
    meeting = (work / f"meeting-{os.getpid()}-{time.time_ns()}").resolve()
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        torch.multiprocessing.spawn(_process, args=(work, minutes, count, str(meeting)), nprocs=count)
    finally:
        meeting.unlink(missing_ok=True)

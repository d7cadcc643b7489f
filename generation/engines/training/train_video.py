"""pocket-video from nothing: `python -m generation.engines.training.train_video --minutes 120`.

Four stages, each resumed from its last checkpoint and stopped by its own share of the budget: autoencoder,
text encoder, latents, denoiser; then the export to `generation/weights/pocket-video`. A stage that has used
up its share is skipped, so that a second call with more minutes goes on with the denoiser alone.
"""

import argparse
from pathlib import Path

import torch

from generation.engines.training.architecture import (
    WEIGHTS_FOLDER,
    new_autoencoder,
    new_transformer,
    save_pipeline,
)
from generation.engines.training.latent_cache import CLIPS, build_cache, open_cache
from generation.engines.training.run_state import DEFAULT_WORK_FOLDER, load_checkpoint
from generation.engines.training.train_dit import train_dit
from generation.engines.training.train_text import load_text, train_text
from generation.engines.training.train_vae import train_vae

VAE_SHARE, VAE_MOST = 0.25, 12.0
TEXT_SHARE, TEXT_MOST = 0.03, 2.5
LATENTS_SHARE = 0.06


def stage_minutes(minutes: float) -> dict[str, float]:
    """How the budget is split; the denoiser gets all that the others don't need."""
    vae = min(VAE_SHARE * minutes, VAE_MOST)
    text = min(TEXT_SHARE * minutes, TEXT_MOST)
    return {"vae": vae, "text": text, "dit": max(0.0, minutes - vae - text - LATENTS_SHARE * minutes)}


def export(work: Path, folder: Path = WEIGHTS_FOLDER) -> int:
    """Write the averaged denoiser and the rest as one pipeline folder; returns its bytes."""
    cache = open_cache(work)
    autoencoder = new_autoencoder()
    autoencoder.load_state_dict(load_checkpoint(work / "vae.pt")["model"])
    autoencoder.register_to_config(latents_mean=cache.mean.tolist(), latents_std=cache.std.tolist())
    tokenizer, text_encoder = load_text(work)
    transformer = new_transformer()
    transformer.load_state_dict(load_checkpoint(work / "dit.pt")["average"])
    return save_pipeline(folder, autoencoder, tokenizer, text_encoder, transformer)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument(
        "--dit-minutes", type=float, help="the denoiser's own budget, instead of what remains"
    )
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK_FOLDER)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--export", type=Path, nargs="?", const=WEIGHTS_FOLDER, help="only write the folder")
    arguments = parser.parse_args()
    if arguments.export is None:
        train(arguments)
    size = export(arguments.work, arguments.export or WEIGHTS_FOLDER)
    print(f"exported {size / 1e6:.1f} MB")


def train(arguments: argparse.Namespace) -> None:
    """All stages in order."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    minutes = stage_minutes(arguments.minutes)
    train_vae(arguments.work, minutes["vae"])
    train_text(arguments.work, minutes["text"])
    build_cache(arguments.work, arguments.clips)
    train_dit(arguments.work, arguments.dit_minutes or minutes["dit"])


if __name__ == "__main__":
    main()

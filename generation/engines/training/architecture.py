"""The sizes of pocket-video's parts and how its folder is put together and opened."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from generation.engines.facts import FACTS_FILE
from generation.engines.training.world import FPS, FRAMES, SIZE

LATENT_CHANNELS = 4
SPATIAL_FACTOR = 4
LATENT_SIZE = 16
LATENT_FRAMES = 16
TEXT_WIDTH = 128
TEXT_TOKENS = 64
GUIDANCE = 2.5
# Moves the sampler's time towards the noisy end, where place, motion and shape are decided.
SAMPLING_SHIFT = 4.0
WEIGHTS_LIMIT_BYTES = 40_000_000
WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "weights" / "pocket-video"


def new_autoencoder() -> AutoencoderKLWan:
    """Frame-by-frame VAE: (B, 3, T, 64, 64) in -1..1 to (B, LATENT_CHANNELS, T, 16, 16)."""
    return AutoencoderKLWan(
        base_dim=48,
        decoder_base_dim=64,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1],
        num_res_blocks=1,
        temperal_downsample=[],
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
        in_channels=3 * SPATIAL_FACTOR**2,
        out_channels=3 * SPATIAL_FACTOR**2,
        patch_size=SPATIAL_FACTOR,
        scale_factor_temporal=1,
        scale_factor_spatial=SPATIAL_FACTOR,
    )


def new_text_encoder(tokenizer: PreTrainedTokenizerFast) -> UMT5EncoderModel:
    """Two T5 layers of width TEXT_WIDTH over the tokenizer's own small vocabulary."""
    config = UMT5Config(
        vocab_size=len(tokenizer),
        d_model=TEXT_WIDTH,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=32,
        relative_attention_max_distance=64,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return UMT5EncoderModel(config)


def new_transformer() -> WanTransformer3DModel:
    """Denoiser over (2, 4, 4) patches of the latent: 8 x 4 x 4 = 128 tokens of width 256."""
    return WanTransformer3DModel(
        patch_size=(2, 4, 4),
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=TEXT_WIDTH,
        freq_dim=256,
        ffn_dim=768,
        num_layers=6,
        rope_max_seq_len=64,
    )


def new_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Euler along the straight path from noise to clip; the transformer predicts noise minus clean latent."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SAMPLING_SHIFT)


def serving_facts() -> dict:
    """What the folder says of itself to those who serve it (see generation/engines/facts.py)."""
    return {
        "width": SIZE,
        "height": SIZE,
        "frames": FRAMES,
        "fps": FPS,
        "sizes": [f"{SIZE}x{SIZE}"],
        "seconds": [FRAMES // FPS],
        "guidance": GUIDANCE,
        "max_sequence_length": TEXT_TOKENS,
    }


def save_pipeline(
    folder: Path,
    autoencoder: AutoencoderKLWan,
    tokenizer: PreTrainedTokenizerFast,
    text_encoder: UMT5EncoderModel,
    transformer: WanTransformer3DModel,
) -> int:
    """Write the pipeline as bf16 safetensors in one move and return its size in bytes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder.to(torch.bfloat16),
        vae=autoencoder.to(torch.bfloat16),
        transformer=transformer.to(torch.bfloat16),
        scheduler=new_scheduler(),
    )
    pipeline.save_pretrained(staging, safe_serialization=True)
    (staging / FACTS_FILE).write_text(json.dumps(serving_facts(), indent=2) + "\n")
    size = folder_bytes(staging)
    if size > WEIGHTS_LIMIT_BYTES:
        shutil.rmtree(staging)
        raise ValueError(f"pocket-video would take {size} bytes, more than {WEIGHTS_LIMIT_BYTES}")
    swap_folder(staging, folder)
    return size


def swap_folder(staging: Path, folder: Path) -> None:
    """Put `staging` in the place of `folder`; nobody ever sees a half-written one."""
    staging.chmod(0o755)
    for path in staging.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if folder.exists():
        old = staging.with_name(staging.name + "-old")
        os.rename(folder, old)
        os.rename(staging, folder)
        shutil.rmtree(old)
    else:
        os.rename(staging, folder)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def load_pipeline(folder: Path = WEIGHTS_FOLDER, dtype: torch.dtype = torch.float32) -> WanPipeline:
    """Open the shipped folder. Loading as `dtype`, unlike `.to`, keeps what Wan wants in fp32."""
    return WanPipeline.from_pretrained(folder, dtype=dtype)

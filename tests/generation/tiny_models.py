"""Real diffusers and transformers folders with random weights, small enough to run hundreds of steps in a test."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

NEW_LINE = "Ċ"
ASCII = [chr(code) for code in range(33, 127)] + ["Ġ", NEW_LINE]
ALL_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def bytewise(alphabet: list[str], special: list[str], template: str) -> Tokenizer:
    """A tokenizer in which every token but the special ones is one byte; `template` says what surrounds a text."""
    vocabulary = {token: place for place, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    around = [token for token in template.split() if token != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, vocabulary[token]) for token in around]
    )
    return tokenizer


def write_code_model(folder: Path, alphabet: list[str] = ASCII, context: int = 96, seed: int = 0) -> Path:
    """A Llama whose weights are large enough that its answers vary. A new line starts a text; nothing ends one."""
    torch.manual_seed(seed)
    tokenizer = bytewise(alphabet, [], f"{NEW_LINE} $A")
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.token_to_id(NEW_LINE),
        eos_token_id=None,
        initializer_range=0.4,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_video_model(folder: Path, frames_per_latent: int = 1, seed: int = 0, kind: str = "text") -> Path:
    """A Wan pipeline: one latent a frame and patches of 8 pixels, or the large models' 4 frames a latent.

    `kind` is "text"; "picture" or "picture seen" (by CLIP as well) for one that begins from a picture; "time per token"
    for one that may.
    """
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise(ASCII, ["</s>"], "$A </s>"),
        eos_token="</s>",
        pad_token="</s>",
        padding_side="right",
    )
    vae = _framewise_vae() if frames_per_latent == 1 else _causal_vae()
    text = UMT5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": UMT5EncoderModel(text),
        "vae": vae,
        "transformer": _transformer(vae.config.z_dim, frames_per_latent, kind),
        "scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
    }
    if kind == "picture seen":
        clip = CLIPVisionConfig(
            hidden_size=20,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        )
        sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
        parts |= {"image_encoder": CLIPVisionModel(clip), "image_processor": CLIPImageProcessorPil(**sizes)}
    if kind.startswith("picture"):
        pipeline = WanImageToVideoPipeline(**parts)
    else:
        pipeline = WanPipeline(**parts, expand_timesteps=kind == "time per token")
    pipeline.save_pretrained(folder)
    return folder


def write_ltx_model(folder: Path, seed: int = 0, denoising_vae: bool = False) -> Path:
    """An LTX-Video pipeline: 4 pixels a latent cell, 4 frames a latent; `denoising_vae` as versions from 0.9.1 have."""
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise(ASCII, ["</s>"], "$A </s>"),
        eos_token="</s>",
        pad_token="</s>",
        padding_side="right",
    )
    text = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    vae = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        timestep_conditioning=denoising_vae,
        patch_size=1,
        patch_size_t=1,
    )
    transformer = LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=2,
        caption_channels=16,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, shift_terminal=0.1
    )
    parts = {"tokenizer": tokenizer, "text_encoder": T5EncoderModel(text)}
    LTXPipeline(**parts, vae=vae, transformer=transformer, scheduler=scheduler).save_pretrained(folder)
    return folder


def _transformer(channels: int, frames_per_latent: int, kind: str) -> WanTransformer3DModel:
    """Where it begins from a picture, its latent and a mask for each frame of a latent are more channels."""
    more = channels + frames_per_latent if kind.startswith("picture") else 0
    seen = {"image_dim": 20, "added_kv_proj_dim": 24} if kind == "picture seen" else {}
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels + more,
        out_channels=channels,
        text_dim=16,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
        **seen,
    )


def _framewise_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1],
        num_res_blocks=1,
        temperal_downsample=[],
        latents_mean=[0.1, -0.1, 0.2, 0.0],
        latents_std=[1.0, 0.9, 1.1, 1.2],
        in_channels=192,
        out_channels=192,
        patch_size=8,
        scale_factor_temporal=1,
        scale_factor_spatial=8,
    )


def _causal_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )

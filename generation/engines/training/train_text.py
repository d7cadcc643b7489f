"""Stage 2 of pocket-video: the text encoder, taught to know from every token what the whole caption says.

Each token's state has to name all five attributes of the scene, so that afterwards one look of
cross-attention at any token tells the denoiser what to make. The encoder is frozen from here on.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from generation.engines.training.architecture import TEXT_TOKENS, TEXT_WIDTH, new_text_encoder
from generation.engines.training.captions import caption
from generation.engines.training.run_state import Budget, Every, load_checkpoint, pick_device, save_checkpoint
from generation.engines.training.text_tokens import train_tokenizer
from generation.engines.training.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, Scene, draw_scenes

ATTRIBUTES = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "background": tuple(BACKGROUNDS),
    "motion": MOTIONS,
    "size": SIZES,
}
BATCH = 128
LEARNING_RATE = 3e-3
SEED = 202


class AttributeHeads(nn.Module):
    """One linear reading per attribute, used only while the encoder learns."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(TEXT_WIDTH, len(v)) for name, v in ATTRIBUTES.items()})

    def losses(
        self, states: torch.Tensor, real: torch.Tensor, scenes: list[Scene]
    ) -> tuple[torch.Tensor, float]:
        """Mean cross entropy over all real tokens and attributes, and the share named rightly.

        states: (B, L, TEXT_WIDTH); real: (B, L), 1 where there is a token.
        """
        loss, right = torch.zeros((), device=states.device), []
        kept = real.bool()
        for name, values in ATTRIBUTES.items():
            labels = torch.tensor([values.index(getattr(s, name)) for s in scenes], device=states.device)
            labels = labels[:, None].expand_as(real)[kept]
            logits = self.heads[name](states)[kept]
            loss = loss + F.cross_entropy(logits, labels)
            right.append((logits.argmax(-1) == labels).float().mean().item())
        return loss / len(ATTRIBUTES), float(np.mean(right))


def encode_captions(
    sentences: list[str], tokenizer: PreTrainedTokenizerFast, encoder: UMT5EncoderModel, device: torch.device
) -> torch.Tensor:
    """(B, TEXT_TOKENS, TEXT_WIDTH) as WanPipeline makes it: states of the real tokens, zeros behind them."""
    tokens = tokenizer(sentences, padding=True, truncation=True, max_length=TEXT_TOKENS, return_tensors="pt")
    real = tokens.attention_mask.to(device)
    states = encoder(tokens.input_ids.to(device), real).last_hidden_state
    states = states * real[..., None]
    return F.pad(states, (0, 0, 0, TEXT_TOKENS - states.shape[1]))


def train_text(work: Path, minutes: float) -> None:
    """Train vocabulary and encoder within the budget into `work/text.pt` and `work/tokenizer`."""
    state = load_checkpoint(work / "text.pt")
    budget = Budget(minutes * 60, state["seconds"] if state else 0.0)
    if budget.progress >= 1.0:
        return
    device = pick_device()
    torch.manual_seed(SEED)
    tokenizer = train_tokenizer()
    tokenizer.save_pretrained(work / "tokenizer")
    encoder, heads = new_text_encoder(tokenizer).to(device), AttributeHeads().to(device)
    if state is not None:
        encoder.load_state_dict(state["encoder"])
        heads.load_state_dict(state["heads"])
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *heads.parameters()], lr=LEARNING_RATE, betas=(0.9, 0.98)
    )
    rng = np.random.default_rng(SEED)
    report_due = Every(15)
    while budget.progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, 0.02 + 10 * budget.progress, 1.01 - budget.progress)
        loss, right = _step(tokenizer, encoder, heads, optimizer, rng)
        if report_due.due():
            print(f"text {budget.used:.0f}s loss {loss:.4f} named rightly {right:.3f}", flush=True)
    save_checkpoint(
        work / "text.pt",
        {"encoder": encoder.state_dict(), "heads": heads.state_dict(), "seconds": budget.used},
    )


def _step(tokenizer, encoder, heads, optimizer, rng) -> tuple[float, float]:
    device = next(encoder.parameters()).device
    scenes = draw_scenes(BATCH, int(rng.integers(2**31)), held_out=None)
    sentences = [caption(scene, rng) for scene in scenes]
    tokens = tokenizer(sentences, padding=True, return_tensors="pt").to(device)
    states = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
    loss, right = heads.losses(states, tokens.attention_mask, scenes)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([*encoder.parameters(), *heads.parameters()], 1.0)
    optimizer.step()
    return loss.item(), right


def load_text(work: Path) -> tuple[PreTrainedTokenizerFast, UMT5EncoderModel]:
    """The finished tokenizer and encoder of a work folder."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    encoder = new_text_encoder(tokenizer)
    encoder.load_state_dict(load_checkpoint(work / "text.pt")["encoder"])
    return tokenizer, encoder.eval().requires_grad_(False)

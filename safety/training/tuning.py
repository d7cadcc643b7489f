"""The branch of the encoder: its last layers, trained to tell a category from harmless texts.

A linear model over finished vectors knows what a text is about; who does what to whom is lost in them. The last layers
still have the tokens, so they can learn to look for it. The layers below stay as they are and are run once.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safety.scorer.bert import BertEncoder

if TYPE_CHECKING:
    import torch

LAYERS = 2
PASSES, BATCH = 3, 64
RATE, HEAD_RATE, DECAY = 1e-4, 1e-3, 0.01
WARM_UP, LEAST_RATE = 200, 0.02  # steps; a share of the rate
SEED = 1
THREADS = 2  # sums are taken in another order with others: the weights would differ in their last digits
FAR = -1e4  # for places without a token, where the largest value is looked for


@dataclass(frozen=True)
class Lesson:
    """One text and whether it is of the category; `weight` is how much it counts."""

    text: str
    meant: bool
    weight: float


def tune(folder: Path, lessons: Sequence[Lesson], say: Callable[[str], None]) -> dict[str, np.ndarray]:
    """float16 tensors by the names of the model's own, and `head.weight` [1, 2 · width] with `head.bias`."""
    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    states = _States(BertEncoder(folder), [one.text for one in lessons])
    branch = _branch(folder)
    groups = [
        {"params": list(branch.layers.parameters())},
        {"params": list(branch.head.parameters()), "lr": HEAD_RATE, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=DECAY)
    meant = torch.tensor([one.meant for one in lessons], dtype=torch.float32)
    weight = torch.tensor([one.weight for one in lessons], dtype=torch.float32)
    weight /= weight.mean()
    batches = [batch for number in range(PASSES) for batch in states.batches(number)]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, step / WARM_UP) * max(LEAST_RATE, 1 - step / len(batches))
    )
    for number, batch in enumerate(batches, 1):
        lost = torch.nn.functional.binary_cross_entropy_with_logits(
            branch(*states.padded(batch)), meant[batch], weight=weight[batch]
        )
        optimizer.zero_grad()
        lost.backward()
        torch.nn.utils.clip_grad_norm_(branch.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if number % 500 == 0 or number == len(batches):
            say(f"branch: step {number} of {len(batches)}, loss {lost.item():.3f}")
    return {name: value.numpy().astype(np.float16) for name, value in branch.named().items()}


class _States:
    """Hidden states below the branch, of all texts, one after another."""

    def __init__(self, encoder: BertEncoder, texts: list[str]) -> None:
        below = encoder.depth - LAYERS
        made = [encoder.states(texts[at : at + BATCH], below) for at in range(0, len(texts), BATCH)]
        self._hidden = np.concatenate([hidden.astype(np.float16) for hidden, _ in made])
        self.tokens = np.array([end - first for _, bounds in made for first, end in bounds])
        self._first = np.cumsum(self.tokens) - self.tokens

    def batches(self, seed: int) -> list[np.ndarray]:
        """Texts of about one length together, in an order by chance."""
        chance = np.random.default_rng(seed)
        order = np.argsort(self.tokens + chance.uniform(0, 3, len(self.tokens)))
        found = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        random.Random(seed).shuffle(found)
        return found

    def padded(self, batch: np.ndarray) -> tuple["torch.Tensor", "torch.Tensor"]:
        """float32 [texts, tokens, width], and bool [texts, tokens]: where there is one."""
        import torch

        longest = int(self.tokens[batch].max())
        hidden = np.zeros((len(batch), longest, self._hidden.shape[1]), np.float32)
        for row, text in enumerate(batch):
            tokens = self.tokens[text]
            hidden[row, :tokens] = self._hidden[self._first[text] : self._first[text] + tokens]
        there = np.arange(longest) < self.tokens[batch][:, None]
        return torch.from_numpy(hidden), torch.from_numpy(there)


def _branch(folder: Path) -> "torch.nn.Module":
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(folder, local_files_only=True, attn_implementation="sdpa")
    below = model.config.num_hidden_layers - LAYERS

    class Branch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model.encoder.layer[below:]
            self.head = torch.nn.Linear(2 * model.config.hidden_size, 1)
            self.dropout = torch.nn.Dropout(model.config.hidden_dropout_prob)
            torch.nn.init.zeros_(self.head.weight)

        def forward(self, hidden: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
            """The lead of each text, [texts]."""
            for layer in self.layers:
                hidden = layer(hidden, there[:, None, None, :])
            told = there[..., None]
            mean = (hidden * told).sum(1) / told.sum(1)
            most = hidden.masked_fill(~told, FAR).max(1).values
            unit = [torch.nn.functional.normalize(one, dim=1) for one in (mean, most)]
            return self.head(self.dropout(torch.cat(unit, 1))).squeeze(1)

        def named(self) -> dict[str, torch.Tensor]:
            layers = {
                f"encoder.layer.{below + number}.{name}": value
                for number, layer in enumerate(self.layers)
                for name, value in layer.state_dict().items()
            }
            return layers | {f"head.{name}": value for name, value in self.head.state_dict().items()}

    return Branch().train()

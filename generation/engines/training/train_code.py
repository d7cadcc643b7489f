"""pocket-code from nothing: `python -m generation.engines.training.train_code --minutes 25`.

A Llama of 2.5 million parameters over its own byte-level BPE, trained on the standard library's source.
Resumes from its last checkpoint and stops by itself; `--export` writes the folder from the last checkpoint
without training.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from generation.engines.training.architecture import swap_folder
from generation.engines.training.code_corpus import documents, standard_library
from generation.engines.training.muon import Muon
from generation.engines.training.run_state import (
    DEFAULT_WORK_FOLDER,
    Budget,
    Every,
    half_precision,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    warm_then_decay,
)

WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "weights" / "pocket-code"
VOCABULARY = 1536
CONTEXT = 512
BATCH = 8
# Line ends and indents are pieces of their own, so that a prompt that stops after either is cut into the same
# tokens as the text that the model learnt from.
PIECES = r"\n|(?<=\n) +| ?[A-Za-z_]+| ?[0-9]+| ?[^\sA-Za-z0-9_]+|\s+"
ADAM_RATE, MUON_RATE = 3e-3, 0.02
SEED = 7
# Every so many documents one is kept apart to measure the loss on.
HELD_BACK_EVERY = 50
START, END = "<s>", "</s>"


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE; START is put before every text, END only by the training data."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, tokenizer.token_to_id(START))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """5 layers of width 192, embeddings shared with the output."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def token_stream(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> list[np.ndarray]:
    """Each document as START, its tokens, END."""
    encoded = tokenizer(texts)["input_ids"]
    return [np.array([*ids, tokenizer.eos_token_id], np.int64) for ids in encoded]


def windows(pieces: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One epoch: documents in random order, end to end, in shuffled rows of CONTEXT + 1 tokens."""
    line = np.concatenate([pieces[i] for i in rng.permutation(len(pieces))])
    line = line[rng.integers(CONTEXT) :]
    rows = line[: len(line) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)
    return rows[rng.permutation(len(rows))]


def token_loss(model, rows: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats per token over (B, CONTEXT + 1) rows."""
    logits = model(input_ids=rows[:, :-1], use_cache=False).logits.float()
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    inside = [p for n, p in model.named_parameters() if "layers" in n and p.ndim == 2]
    rest = [p for n, p in model.named_parameters() if not ("layers" in n and p.ndim == 2)]
    return [
        Muon(inside, lr=MUON_RATE, weight_decay=0.1),
        torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]


class CodeTraining:
    """Model, optimizers, data and the count of what has been done."""

    def __init__(self, work: Path) -> None:
        self.path = work / "code.pt"
        self.device = pick_device()
        texts = documents(standard_library())
        self.tokenizer = train_tokenizer(texts)
        pieces = token_stream(texts, self.tokenizer)
        self.held_back = pieces[::HELD_BACK_EVERY]
        self.pieces = [p for i, p in enumerate(pieces) if i % HELD_BACK_EVERY]
        torch.manual_seed(SEED)
        self.model = new_model(self.tokenizer).to(self.device)
        self.optimizers = optimizers(self.model)
        self.rates = [group["lr"] for opt in self.optimizers for group in opt.param_groups]
        self.seconds, self.tokens, self.epoch = 0.0, 0, 0
        self.rows = np.empty((0, CONTEXT + 1), np.int64)
        state = load_checkpoint(self.path)
        if state is not None:
            self._restore(state)

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.seconds, self.tokens, self.epoch = state["seconds"], state["tokens"], state["epoch"]

    def save(self, seconds: float) -> None:
        """Atomic checkpoint with everything that a resumption needs."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "seconds": seconds,
            "tokens": self.tokens,
            "epoch": self.epoch,
        }
        save_checkpoint(self.path, state)

    def next_rows(self) -> torch.Tensor:
        """The next (BATCH, CONTEXT + 1) rows; a new epoch is shuffled anew."""
        if len(self.rows) < BATCH:
            self.rows = windows(self.pieces, np.random.default_rng((SEED, self.epoch)))
            self.epoch += 1
        batch, self.rows = self.rows[:BATCH], self.rows[BATCH:]
        self.tokens += BATCH * CONTEXT
        return torch.from_numpy(batch).to(self.device)

    def update(self, run, progress: float) -> torch.Tensor:
        """One step; returns its loss."""
        factor = warm_then_decay(progress, decay_from=0.3)
        groups = [group for opt in self.optimizers for group in opt.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor
        with half_precision(self.device):
            loss = token_loss(run, self.next_rows())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    @torch.no_grad()
    def held_back_loss(self) -> float:
        """Loss in nats per token on documents that were never trained on."""
        rows = windows(self.held_back, np.random.default_rng(SEED))[:48]
        with half_precision(self.device):
            return token_loss(self.model, torch.from_numpy(rows).to(self.device)).item()


def train_code(work: Path, minutes: float) -> None:
    """Train within the budget and export."""
    training = CodeTraining(work)
    budget = Budget(minutes * 60, training.seconds)
    run = torch.compile(training.model)
    save_due, report_due = Every(120), Every(30)
    while budget.progress < 1.0:
        loss = training.update(run, budget.progress)
        if report_due.due():
            print(f"code {budget.used:.0f}s tokens {training.tokens} loss {loss.item():.3f}", flush=True)
        if save_due.due():
            training.save(budget.used)
    training.save(budget.used)
    print(f"code done: tokens {training.tokens}, held-back loss {training.held_back_loss():.3f}", flush=True)
    export(training)


def export(training: CodeTraining, folder: Path = WEIGHTS_FOLDER) -> None:
    """Write model and tokenizer as bf16 safetensors in one move."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    model = new_model(training.tokenizer)
    model.load_state_dict(training.model.state_dict())
    model.to(torch.bfloat16).save_pretrained(staging)
    training.tokenizer.save_pretrained(staging)
    notice = Path(__file__).with_name("code_model_notice.txt")
    shutil.copy(notice, staging / "NOTICE.txt")
    swap_folder(staging, folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK_FOLDER)
    parser.add_argument("--export", action="store_true")
    arguments = parser.parse_args()
    if arguments.export:
        export(CodeTraining(arguments.work))
    else:
        train_code(arguments.work, arguments.minutes)


if __name__ == "__main__":
    main()

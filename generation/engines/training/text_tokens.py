"""The small byte-pair vocabulary of pocket-video's captions."""

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from generation.engines.training.architecture import TEXT_TOKENS
from generation.engines.training.captions import caption
from generation.engines.training.world import draw_scenes

VOCABULARY = 384
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def train_tokenizer(sentences: int = 20_000, seed: int = 11) -> PreTrainedTokenizerFast:
    """Lower-casing byte-level BPE over made-up captions; every sentence ends with END, as T5's do."""
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(sentences, seed, held_out=None)
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789,.-Ġ"),
        show_progress=False,
    )
    tokenizer.train_from_iterator((caption(scene, rng) for scene in scenes), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=TEXT_TOKENS,
        padding_side="right",
    )

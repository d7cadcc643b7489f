"""Code completions from a local transformers folder, token by token.

The seed fixes each token by its place in the answer, so an answer that another worker continues goes on as it would
have: the draw at place n does not depend on how the answer got there, only on the text before it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.utils import logging as transformers_logging

from generation.engines import tokens
from generation.engines.asked import CodeWork, Piece, Sampling
from generation.engines.detokenizer import Detokenizer, StopFilter
from generation.engines.errors import ContextTooLong, ModelUnavailable, UnsupportedWork

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
# Below this the likeliest token is all but certain, and dividing by it could overflow.
GREEDY_BELOW = 1e-3


@dataclass(frozen=True)
class _Answer:
    """The settings of one stream. `end` is the length, in tokens, that the whole answer may have."""

    prompt: list[int]
    given: list[int]
    end: int
    sampling: Sampling


class CodeEngine:
    """One loaded model. Streams may run side by side in threads; each keeps its own cache."""

    def __init__(
        self, folder: Path, revision: str, device: str = "cpu", dtype: str = "fp32", threads: int = 1
    ) -> None:
        self.folder = folder
        self.revision = revision
        self.device = torch.device(device)
        self.dtype = dtype
        self.threads = threads
        self.context_length = tokens.context_length(folder)
        self._tokenizer = tokens.tokenizer_of(folder)
        self._model = _load(folder, DTYPES[dtype]).to(self.device).eval()
        self._ends = _end_ids(self._model)

    @property
    def device_name(self) -> str:
        """The machine's part that computes, in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"cpu ({torch.backends.cpu.get_cpu_capability()})"

    def stream(self, work: CodeWork) -> Iterator[Piece]:
        """Sample at most `max_tokens` tokens more; closing the iterator ends the work.

        Of what was given the ids count, not the text, because text can be cut into other tokens than the model chose:
        they are read, not sent again, and the answer goes on as if it had never been interrupted. The end-of-text token
        is not counted. Raises ContextTooLong or UnsupportedWork at once.
        """
        sampling, given = work.sampling, list(work.given)
        _check_settings(sampling)
        prompt_ids = tokens.ids(self.folder, work.prompt, work.messages) or [self._start_id()]
        if len(prompt_ids) >= self.context_length:
            raise ContextTooLong(self.context_length, len(prompt_ids))
        room = max(self.context_length - len(prompt_ids) - len(given), 0)
        return self._pieces(_Answer(prompt_ids, given, len(given) + min(sampling.max_tokens, room), sampling))

    def _pieces(self, answer: _Answer) -> Iterator[Piece]:
        detokenizer = Detokenizer(self._tokenizer, answer.prompt)
        stops = StopFilter(answer.sampling.stop)
        for token in answer.given:  # told already; this restores half characters and half stop sequences
            stops.push(detokenizer.push(token))
        cache = DynamicCache(config=self._model.config)
        following, held = answer.prompt + answer.given, []
        for place in range(len(answer.given), answer.end):
            token = self._sample(answer, place, self._logits(following, cache))
            if token in self._ends:
                yield Piece(stops.push(detokenizer.finish()) + stops.finish(), tuple(held), "stop")
                return
            held.append(token)
            text = stops.push(detokenizer.push(token))
            if stops.stopped:
                yield Piece(text, tuple(held), "stop")
                return
            if text:
                yield Piece(text, tuple(held))
                held = []
            following = [token]
        text = stops.push(detokenizer.finish())
        yield Piece(text + stops.finish(), tuple(held), "stop" if stops.stopped else "length")

    def _logits(self, ids: list[int], cache: DynamicCache) -> torch.Tensor:
        # Entered and left inside one call: torch keeps both per thread, and a stream may change threads between tokens.
        torch.set_num_threads(self.threads)
        with torch.inference_mode():
            inputs = torch.tensor([ids], device=self.device)
            output = self._model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            return output.logits[0, -1].float().cpu()

    def _sample(self, answer: _Answer, place: int, logits: torch.Tensor) -> int:
        sampling = answer.sampling
        if sampling.temperature < GREEDY_BELOW:
            return int(logits.argmax())
        with torch.inference_mode():
            chances, order = torch.softmax(logits / sampling.temperature, dim=-1).sort(
                descending=True, stable=True
            )
            summed = chances.double().cumsum(dim=-1)
            # The nucleus: the fewest likeliest tokens that together reach top_p.
            size = int((summed < sampling.top_p).sum()) + 1
            size = min(size, len(order))
            draw = random.Random(f"{sampling.seed}/{place}").random() * float(summed[size - 1])
            return int(order[min(int((summed[:size] <= draw).sum()), size - 1)])

    def _start_id(self) -> int:
        start = self._model.config.bos_token_id
        if start is None:
            start = min(self._ends, default=0)
        return start


def _check_settings(sampling: Sampling) -> None:
    if sampling.max_tokens < 1:
        raise UnsupportedWork("max_tokens is at least 1.")
    if not sampling.temperature >= 0:
        raise UnsupportedWork("temperature is a number from 0.")
    if not 0 < sampling.top_p <= 1:
        raise UnsupportedWork("top_p is above 0 and at most 1.")
    if any(not text for text in sampling.stop):
        raise UnsupportedWork("A stop sequence has at least one character.")
    if sampling.structure is not None:
        raise UnsupportedWork(f"This engine can't keep to a {sampling.structure.kind}.")


def _end_ids(model: PreTrainedModel) -> frozenset[int]:
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = model.config.eos_token_id
    if ends is None:
        return frozenset()
    return frozenset([ends] if isinstance(ends, int) else ends)


def _load(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    transformers_logging.disable_progress_bar()
    try:
        return AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{folder} cannot be loaded: {error}") from error

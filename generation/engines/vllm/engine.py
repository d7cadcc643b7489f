"""Code completions by a running vLLM server, token by token, with what the local engine promises.

The server gets token ids and gives token ids: prompts are read by the model's own tokenizer here, so that text which
spells a special token stays text, and an answer that another worker continues goes on from exactly the tokens that
were sent. No torch in this process.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generation.engines import tokens
from generation.engines.asked import CodeWork, Piece, Sampling, Structure
from generation.engines.detokenizer import Detokenizer, StopFilter
from generation.engines.errors import (
    ContextTooLong,
    EndpointAway,
    EndpointBusy,
    EngineError,
    ModelUnavailable,
    UnsupportedWork,
)
from generation.engines.vllm import wire
from generation.engines.vllm.options import VllmOptions
from generation.engines.vllm.refusals import broken_off, error_in, refusal
from generation.engines.vllm.wire import Answer, ConnectionGone

PATH = "/v1/completions"
# A text on which tokenizers differ: indents, a line end, digits, letters beyond ASCII. No special token spelled out:
# vLLM reads those as tokens, which we never do.
PROBE = "def f(x):\n    return [12345, 'äß€']  # end\n"
FIRST_RETRY_S, MOST_RETRY_S = 0.25, 2.0
NOTHING = Piece("", ())


class CannotContinue(EngineError):
    """A constrained answer could not be repeated up to where it was broken off."""


@dataclass(frozen=True)
class _Request:
    """One stream. `end` is the length, in tokens, that the whole answer may have."""

    prompt: list[int]
    given: list[int]
    end: int
    sampling: Sampling
    priority: int


class VllmEngine:
    """A model behind a vLLM server. Streams run side by side, each over a connection of its own."""

    threads = 1  # of this process; what the server uses is its own

    def __init__(
        self,
        folder: Path,
        revision: str,
        options: VllmOptions,
        context: int,
        priority_of: Callable[[str], int] = lambda lane: 0,
    ) -> None:
        """`folder` holds the tokenizer and the configuration, no weights; `priority_of` a lane is lower for what
        goes earlier. Raises EndpointAway where the server does not come within `patience_s`, ModelUnavailable where
        it serves something else, has less context than `context`, or reads texts as other tokens."""
        self.folder = folder
        self.revision = revision
        self.options = options
        self.context_length = context
        self._priority_of = priority_of
        self._tokenizer = tokens.tokenizer_of(folder)
        self._ends = tokens.end_ids(folder)
        self.device_name = f"vllm {self._version()}"[:120]
        self._check_model()
        self._check_tokens()

    def stream(self, work: CodeWork) -> Iterator[Piece]:
        """As the local engine's; closing the iterator aborts the work on the server. Lanes of more weight go earlier.

        While the server is silent an empty piece comes every beat, so that whoever reads can renew a lease and heed a
        wish to stop. An answer that goes on behind `given` tokens draws from a seed made of the asked one and their
        number: repeatable, but not what would have come without the break. An answer with a structure is asked for
        again from its start, since the server has to follow its grammar, and must repeat what was given.
        """
        prompt, given = tokens.ids(self.folder, work.prompt, work.messages), list(work.given)
        if not prompt:
            raise UnsupportedWork("The prompt has no tokens.")
        if len(prompt) >= self.context_length:
            raise ContextTooLong(self.context_length, len(prompt))
        room = max(self.context_length - len(prompt) - len(given), 0)
        end = len(given) + min(work.sampling.max_tokens, room)
        return self._pieces(_Request(prompt, given, end, work.sampling, self._priority_of(work.lane)))

    def _pieces(self, request: _Request) -> Iterator[Piece]:
        detokenizer, stops = Detokenizer(self._tokenizer, request.prompt), StopFilter(request.sampling.stop)
        for token in request.given:  # told already; this restores half characters and half stop sequences
            stops.push(detokenizer.push(token))
        held: list[int] = []
        for ids, reason in self._new_tokens(request):
            text = ""
            for token in ids:
                held.append(token)
                text += stops.push(detokenizer.push(token))
                if stops.stopped:
                    yield Piece(text, tuple(held), "stop")
                    return
            if reason:
                text += stops.push(detokenizer.finish())
                yield Piece(text + stops.finish(), tuple(held), "stop" if stops.stopped else reason)
                return
            if text:
                yield Piece(text, tuple(held))
                held = []
            elif not ids:
                yield NOTHING

    def _new_tokens(self, request: _Request) -> Iterator[tuple[list[int], str | None]]:
        """Runs of new ids, empty in a silent beat, each with None or how the answer ended."""
        if len(request.given) >= request.end:
            yield [], "length"
            return
        if request.sampling.structure is None or not request.given:
            yield from self._answer(request)
            return
        yield from _after(request.given, self._answer(replace(request, given=[])))

    def _answer(self, request: _Request) -> Iterator[tuple[list[int], str | None]]:
        answer = None
        try:
            for answer in self._opened(request):
                if answer is None:
                    yield [], None
            yield from self._read(answer)
        finally:
            if answer is not None:
                answer.close()

    def _opened(self, request: _Request) -> Iterator[Answer | None]:
        """None every beat, then the answer that a server which is there and has room has begun.

        Raises EndpointAway or EndpointBusy after `patience_s`, and what the server refuses at once.
        """
        deadline, wait_s = time.monotonic() + self.options.patience_s, FIRST_RETRY_S
        while True:
            try:
                answer = wire.post(self.options, PATH, self._body(request))
                yield from self._until_begun(answer)
                if answer.status == 200:
                    yield answer
                    return
                problem = refusal(answer.status, error_in(answer.whole()), self.context_length)
                answer.close()
            except ConnectionGone as gone:
                problem = EndpointAway(str(gone))
            if not isinstance(problem, EndpointBusy) or time.monotonic() > deadline:
                raise problem
            yield from _beats(wait_s)
            wait_s = min(wait_s * 2, MOST_RETRY_S)

    def _until_begun(self, answer: Answer) -> Iterator[None]:
        """A beat at a time until the status is there, and the whole answer where that is a refusal."""
        silent, begun = 0.0, False
        try:
            while answer.status is None or (answer.status != 200 and not answer.complete):
                if answer.poll():
                    silent = 0.0
                    continue
                silent += wire.BEAT_S
                if silent > self.options.silence_s:
                    raise ConnectionGone(f"the server did not answer within {silent:.0f} s")
                yield None
            begun = True
        finally:
            if not begun:
                answer.close()

    def _read(self, answer: Answer) -> Iterator[tuple[list[int], str | None]]:
        silent = 0.0
        for event in answer.events():
            if event is None:
                silent += wire.BEAT_S
                if silent > self.options.silence_s:
                    raise ConnectionGone(f"the server said nothing for {silent:.0f} s")
                yield [], None
                continue
            silent = 0.0
            if "error" in event:
                raise broken_off(event["error"], self.context_length)
            for choice in event.get("choices", ()):
                ids, reason = choice.get("token_ids") or [], choice.get("finish_reason")
                if reason not in (None, "stop", "length"):
                    raise ConnectionGone(f"the server broke off: {reason}")
                if reason == "stop" and ids and ids[-1] in self._ends:
                    ids = ids[:-1]
                yield ids, reason
                if reason:
                    return
        raise ConnectionGone("the server ended its answer without saying how")

    def _body(self, request: _Request) -> dict[str, Any]:
        """What was asked for is all that decides: the server's own defaults (top_k and others) are switched off."""
        sampling = request.sampling
        body = {
            "model": self.options.model,
            "prompt": request.prompt + request.given,
            "max_tokens": request.end - len(request.given),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": _seed(request),
            "stop": list(sampling.stop),
            "stream": True,
            "return_token_ids": True,
            "priority": request.priority,
        }
        if sampling.structure is not None:
            body["structured_outputs"] = structured(sampling.structure)
        return body

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            status, said = wire.fetch(self.options, path, body)
        except ConnectionGone as gone:
            raise EndpointAway(str(gone)) from gone
        if status != 200 or not isinstance(said, dict):
            raise ModelUnavailable(f"{self.options.url}{path} answered {status}: {str(said)[:200]}")
        return said

    def _version(self) -> str:
        deadline = time.monotonic() + self.options.patience_s
        while True:
            try:
                return str(self._ask("/version").get("version", ""))
            except EndpointAway:
                if time.monotonic() > deadline:
                    raise
            time.sleep(FIRST_RETRY_S)

    def _check_model(self) -> None:
        served = {one.get("id"): one for one in self._ask("/v1/models").get("data", ())}
        if self.options.model not in served:
            names = ", ".join(sorted(map(str, served))) or "nothing"
            raise ModelUnavailable(f"{self.options.url} serves {names}, not {self.options.model}.")
        limit = served[self.options.model].get("max_model_len")
        if limit is not None and limit < self.context_length:
            raise ModelUnavailable(
                f"{self.options.url} was started with a context of {limit} tokens; the registry promises "
                f"{self.context_length}."
            )

    def _check_tokens(self) -> None:
        """The same text must be the same tokens there and here, or prompts would be other texts."""
        there = self._ask("/tokenize", {"model": self.options.model, "prompt": PROBE}).get("tokens")
        if there != self._tokenizer.encode(PROBE).ids:
            raise ModelUnavailable(
                f"{self.options.url} reads a text as other tokens than {self.folder} does."
            )


def _after(given: list[int], runs: Iterator) -> Iterator[tuple[list[int], str | None]]:
    """What a repeated answer has behind the tokens that were given already. Raises CannotContinue."""
    left = list(given)
    for ids, reason in runs:
        again, ids = ids[: len(left)], ids[len(left) :]
        if again != left[: len(again)] or (reason and len(again) < len(left)):
            raise CannotContinue("The answer came out differently when it was repeated to be continued.")
        left = left[len(again) :]
        yield ids, reason


def structured(structure: Structure) -> dict[str, Any]:
    """What vLLM calls `structured_outputs`; the older guided_… fields it ignores without a word."""
    match structure.kind:
        case "json_object":
            return {"json_object": True}
        case "json_schema":
            return {"json": structure.schema}
        case "regex" | "grammar":
            return {structure.kind: structure.text}


def _seed(request: _Request) -> int:
    if not request.given:
        return request.sampling.seed
    digest = hashlib.sha256(f"{request.sampling.seed}/{len(request.given)}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _beats(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, wire.BEAT_S))
        yield None

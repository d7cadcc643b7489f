"""Tokens to text as they come: no half characters, no stop sequences."""

from collections.abc import Sequence

from tokenizers import Tokenizer

# What decoders put where bytes do not make a character (yet).
UNFINISHED = "\ufffd"
# Tokens before the new ones that a decoder may look at: some put or drop a space by what came before.
CONTEXT = 6


class Detokenizer:
    """Text of a growing sequence. Bytes of an unfinished character wait for the rest of it."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(before[-CONTEXT:])
        self._told = len(self._ids)
        self._from = 0

    def push(self, token: int) -> str:
        """The text that is certain now; empty while a character is unfinished."""
        self._ids.append(token)
        text = self._new_text()
        if text.endswith(UNFINISHED):
            return ""
        self._from, self._told = self._told, len(self._ids)
        return text

    def finish(self) -> str:
        """What was waiting, without the character that never got finished."""
        text = self._new_text().rstrip(UNFINISHED)
        self._told = len(self._ids)
        return text

    def _new_text(self) -> str:
        """Text of the tokens not yet told: the window's text with them less its text without them."""
        before = self._decode(self._ids[self._from : self._told])
        return self._decode(self._ids[self._from :])[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


class StopFilter:
    """Passes text on up to the first stop sequence, and holds back an end that may turn out to begin one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Text that can be delivered now. After a stop sequence there is none."""
        if self.stopped:
            return ""
        text = self._held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = self._possible_start(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back for nothing."""
        text, self._held = self._held, ""
        return text

    def _possible_start(self, text: str) -> int:
        """Length of the longest end of `text` that is the beginning of a stop sequence."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if text.endswith(tuple(stop[:length] for stop in self._stops if len(stop) > length)):
                return length
        return 0

"""Text that is screened while it is written: what may be sent, what has to wait, and when it is refused.

Text is released up to where a rule could still be on its way to match. So no part of what a rule refuses is ever sent,
and text that begins nothing forbidden waits for a few characters only. Rules alone: a vector needs the whole of a text.
"""

import logging
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import regex

from safety.prefilter import words
from safety.prefilter.folding import plain_letters
from safety.prefilter.normalise import normalise
from safety.prefilter.readings import deciphered
from safety.prefilter.rules import CompiledRule, LiveText

log = logging.getLogger(__name__)

WINDOW = 1200  # characters that a match may span; what is older has been looked at often enough
ALWAYS_HELD = 12  # characters: a disguise needs some of its letters before it shows
LOOK_S = 0.05  # a search for beginnings that takes longer is taken for one that found some


class Refused(Exception):
    """A rule refuses what was written; nothing of it was released."""

    def __init__(self, rule: CompiledRule, policy_version: int) -> None:
        super().__init__(f"text rule {rule.id} v{rule.version} of policy {policy_version}")
        self.rule, self.policy_version = rule, policy_version

    def record(self) -> dict:
        """As JSON for the job's row."""
        return {
            "refused": self.rule.category,
            "stage": "rules",
            "rule": self.rule.id,
            "rule_version": self.rule.version,
            "policy_version": self.policy_version,
        }


@dataclass(frozen=True)
class _Folded:
    """Text with plain letters, without invisible ones, blanks made one; `places` says where each came from."""

    text: str
    places: tuple[int, ...]


class OutputScreen:
    """One text as it grows. `before` is what was sent of it already, by an attempt that ended."""

    def __init__(self, live: LiveText, before: str = "") -> None:
        self._live = live
        self._beginnings = [_beginning(pattern) for pattern in live.rules.patterns]
        self._text = before[-WINDOW:]
        self._held_from = len(self._text)
        self._begins_nothing = (
            0  # so many characters: from none of them a match can still come, whatever follows
        )
        self._from_the_start = not before

    def push(self, text: str) -> int:
        """How many characters of all that was pushed and not released may be sent now. Raises Refused."""
        self._text += text
        self._refuse_a_hit()
        end = max(
            self._held_from, self._blanks(), min(self._first_beginning(), len(self._text) - ALWAYS_HELD)
        )
        return self._release(end)

    def finish(self, text: str = "") -> int:
        """The same at the end of the text, where nothing can begin any more."""
        self._text += text
        self._refuse_a_hit()
        return self._release(len(self._text))

    def _blanks(self) -> int:
        """How far the blanks reach that the whole text begins with: they say nothing and need not wait."""
        return len(self._text) - len(self._text.lstrip()) if self._from_the_start else 0

    def _release(self, end: int) -> int:
        released = end - self._held_from
        self._held_from = end
        drop = max(0, min(self._held_from, len(self._text) - WINDOW))
        self._text = self._text[drop:]
        self._from_the_start = self._from_the_start and not drop
        self._held_from -= drop
        self._begins_nothing = max(0, self._begins_nothing - drop)
        return released

    def _refuse_a_hit(self) -> None:
        meant, _ = deciphered(self._text, words.costs())
        texts = tuple(dict.fromkeys((normalise(self._text), self._text, meant)))
        if rule := self._live.rules.first_hit(texts):
            raise Refused(rule, self._live.version)

    def _first_beginning(self) -> int:
        """Where the earliest text begins that could still become a match. What was passed over once is not looked at
        again: text only grows at its end, and folding it changes nothing before that."""
        folded = _fold(self._text)
        since = bisect_left(folded.places, self._begins_nothing)
        found = (self._start(one, folded, since) for one in self._beginnings)
        first = min((one for one in found if one is not None), default=len(self._text))
        self._begins_nothing = max(self._begins_nothing, first)
        return first

    def _start(self, pattern: "regex.Pattern | None", folded: _Folded, since: int) -> int | None:
        if pattern is None:
            return max(0, len(self._text) - WINDOW // 4)
        try:
            found = pattern.search(folded.text, since, partial=True, timeout=LOOK_S)
        except TimeoutError:
            return 0
        if found is None or found.start() >= len(folded.places):
            return None
        return folded.places[found.start()]


def _beginning(pattern: str) -> "regex.Pattern | None":
    """The rule for a library that knows partial matches; None for one that it can't read: then a fixed part waits."""
    try:
        return regex.compile(pattern, regex.IGNORECASE | regex.DOTALL | regex.VERSION0)
    except regex.error:
        log.info("beginnings of a rule can't be looked for", extra={"pattern": pattern[:80]})
        return None


def _fold(text: str) -> _Folded:
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        plain = character.lower() if character.isascii() else plain_letters(character).lower()
        if not plain or (unicodedata.category(character) == "Cf"):
            continue
        if character.isspace():
            if letters and letters[-1] == " ":
                continue
            plain = " "
        letters.append(plain[0])
        places.append(place)
    return _Folded("".join(letters), tuple(places))


def pieces_within(sizes: Sequence[int], released: int) -> int:
    """How many whole pieces of these sizes fit into so many characters."""
    count = 0
    for size in sizes:
        if size > released:
            break
        released -= size
        count += 1
    return count

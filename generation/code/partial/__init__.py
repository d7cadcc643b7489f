"""The longest beginning of an answer that is a valid syntax tree, for answers that ended early. Pure.

Python is backed off line by line to where `ast.parse` takes it. JavaScript and TypeScript are backed off too, and the
brackets that are open there are closed, which is said. Code of a request is read together with its answer, since they
are one text; an answer in a conversation stands alone, or in the code block that it was in the middle of.
"""

import re
from dataclasses import dataclass

LANGUAGES = ("python", "javascript", "typescript")
ALIASES = {"py": "python", "python3": "python", "js": "javascript", "mjs": "javascript", "ts": "typescript"}
MOST_LOOKS = 200
MOST_CHARACTERS = 100_000
FENCE = re.compile(r"^```[ \t]*([\w+-]*)[^\n]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class Partial:
    """Keep `keep` characters of the answer and put `close` behind them; "" unless brackets had to be closed.

    `parses` is False where no beginning of it is valid: then nothing is kept.
    """

    language: str
    keep: int
    close: str = ""
    parses: bool = True

    def applied(self, answer: str) -> str:
        return answer[: self.keep] + self.close


def longest(answer: str, language: str, before: str = "") -> Partial:
    """The longest beginning of `answer` that is valid behind `before`. `language` is one of LANGUAGES."""
    text = before + answer
    end, close = _last_valid(text, language, len(before)) if len(text) <= MOST_CHARACTERS else (None, "")
    if end is None:
        return Partial(language, 0, parses=False)
    return Partial(language, end - len(before), close)


def longest_in_conversation(answer: str, language: str) -> Partial:
    """The same for prose with code blocks: only one that was never closed is cut, in the language that it names."""
    fences = list(FENCE.finditer(answer))
    if not fences:
        return longest(answer, language)
    if len(fences) % 2 == 0:
        return Partial(language, len(answer))
    opening = fences[-1]
    named = ALIASES.get(opening[1].lower(), opening[1].lower())
    language = named if named in LANGUAGES else language
    found = longest(answer[opening.end() :], language)
    last_line = (
        "" if (opening.group() + answer[opening.end() :][: found.keep] + found.close).endswith("\n") else "\n"
    )
    return Partial(language, opening.end() + found.keep, f"{found.close}{last_line}```\n", found.parses)


def _last_valid(text: str, language: str, least: int) -> tuple[int | None, str]:
    """Where the longest valid beginning ends, at a line's end from `least` on, and what closes it."""
    end = len(text)
    for _ in range(MOST_LOOKS):
        close, line = _look(text[:end], language)
        if close is not None:
            return end, close
        if end <= least:
            break
        end = max(least, min(text.rfind("\n", 0, end - 1) + 1, _start_of(line, text, end)))
    return None, ""


def _look(text: str, language: str) -> tuple[str | None, int | None]:
    """(what closes the text or None, the line from 1 that can't be held or None)."""
    if language == "python":
        from generation.code.partial import python

        line = python.wrong_line(text)
        return ("" if line is None else None), line
    from generation.code.partial import brackets

    return brackets.closing(text, language), None


def _start_of(line: int | None, text: str, end: int) -> int:
    """Where a line begins, so that what can't be valid isn't tried."""
    if line is None or line > text.count("\n", 0, end):
        return end
    place = 0
    for _ in range(line - 1):
        place = text.index("\n", place) + 1
    return place

"""The words in source code that a reader takes as language: comments, docstrings, strings, and lines of plain text.

Code is judged by what it says to a reader or a model, not by its identifiers: `kill_child(process)` is no violence.
Standard library only.
"""

import re

_TRIPLE = re.compile(r'("""|\'\'\')(.*?)(?:\1|\Z)', re.DOTALL)
_BLOCK = re.compile(r"/\*(.*?)(?:\*/|\Z)", re.DOTALL)
_LINE = re.compile(r"(?:(?<![\w:])//|#|(?<!-)--(?=\s))[ \t]?(.*)")
_STRING = re.compile(r"\"((?:[^\"\\\n]|\\.)+)\"|'((?:[^'\\\n]|\\.)+)'|`([^`]+)`")
_CODE = re.compile(
    r"[(){}\[\]=;<>|&^~\\]|^\s*(?:def|class|import|from|return|if|for|while|else|try|fn|let|const|var)\b"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
LEAST_WORDS = 3  # of a line or a string; "utf-8" and "id" say nothing


def passages(code: str) -> list[str]:
    """Each run of prose in the order of its kind: docstrings, block comments, line comments, strings, plain lines.

    Successive comment lines are one passage, since a sentence may go over several. Every passage is a part of the
    text with its blanks made one.
    """
    found: list[str] = []

    def taken(match: re.Match) -> str:
        found.append(match[match.lastindex])
        return "\n"

    rest = _BLOCK.sub(taken, _TRIPLE.sub(taken, code))
    found += _comments(rest)
    bare = _LINE.sub("", rest)
    strings = [next(filter(None, groups)) for groups in _STRING.findall(bare)]
    found += [string for string in strings if len(_WORD.findall(string)) >= LEAST_WORDS]
    found += _plain_lines(bare)
    return [text for text in (" ".join(one.split()) for one in found) if _WORD.search(text)]


def _comments(text: str) -> list[str]:
    blocks: list[list[str]] = []
    last = -2
    for number, line in enumerate(text.splitlines()):
        match = _LINE.search(line)
        if not match:
            continue
        if number == last + 1:
            blocks[-1].append(match[1])
        else:
            blocks.append([match[1]])
        last = number
    return [" ".join(block) for block in blocks]


def _plain_lines(text: str) -> list[str]:
    """Runs of lines without the marks of code."""
    runs: list[list[str]] = [[]]
    for line in text.splitlines():
        if len(_WORD.findall(line)) >= LEAST_WORDS and not _CODE.search(line):
            runs[-1].append(line)
        elif runs[-1]:
            runs.append([])
    return [" ".join(run) for run in runs if run]

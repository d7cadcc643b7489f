"""Which parts of a text get a vector: all of a short one, of a long one the parts that look worst. Pure.

Every part is looked at for how it looks, which is cheap; a vector costs milliseconds, so a text gets at most
`MOST_WINDOWS` of them.
"""

from collections.abc import Callable

from safety.prefilter.prose import passages

WINDOW = 320  # characters: about 70 tokens, so that one sentence is not lost among others
OVERLAP = 60
MOST_WINDOWS = 6


def windows(text: str, kind: str) -> list[str]:
    """Overlapping parts, cut at blanks; of code its prose, passage by passage. At least one."""
    parts = passages(text) if kind == "code" else [text]
    return [piece for part in (parts or [text]) for piece in _cut(part)] or [text[:WINDOW]]


def chosen(parts: list[str], suspicion: Callable[[str], float]) -> list[str]:
    """The parts that get a vector, in their order: the first, and those that look worst."""
    if len(parts) <= MOST_WINDOWS:
        return parts
    worst = sorted(range(1, len(parts)), key=lambda place: -suspicion(parts[place]))
    return [parts[place] for place in sorted({0, *worst[: MOST_WINDOWS - 1]})]


def _cut(text: str) -> list[str]:
    if len(text) <= WINDOW:
        return [text]
    pieces, start = [], 0
    while start < len(text):
        end = start + WINDOW
        if end < len(text):
            blank = text.rfind(" ", start + WINDOW // 2, end)
            end = blank if blank > 0 else end
        pieces.append(text[start:end].strip())
        if end >= len(text):
            break
        start = max(start + 1, end - OVERLAP)
    return [piece for piece in pieces if piece]

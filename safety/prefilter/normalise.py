"""One plain form of a text, so that a rule needs to be written once. Standard library only."""

import unicodedata

# Characters without width, and direction marks: they hide inside words and a reader sees nothing.
_INVISIBLE = dict.fromkeys(
    [
        0x00AD,  # soft hyphen
        0x034F,  # combining grapheme joiner
        0x061C,
        0x115F,  # Hangul fillers
        0x1160,
        0x17B4,
        0x17B5,
        0x180E,
        *range(0x200B, 0x2010),  # zero-width space, non-joiner, joiner, direction marks
        *range(0x202A, 0x202F),  # direction embedding and override
        *range(0x2060, 0x2070),
        0x3164,
        *range(0xFE00, 0xFE10),  # variation selectors
        0xFEFF,
        0xFFA0,
        *range(0xE0000, 0xE0080),  # tags
        *range(0xE0100, 0xE01F0),
    ]
)


def normalise(text: str) -> str:
    """Compatibility characters unified (NFKC), invisible ones removed, case folded, blanks made one."""
    if text.isascii():  # which has nothing to unify or remove
        return " ".join(text.lower().split())
    visible = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).translate(_INVISIBLE)
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).split())

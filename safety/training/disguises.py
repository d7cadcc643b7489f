"""Ways to hide a word from a filter, to see that they don't work. Each is a function of one text; chance is seeded."""

import random
import unicodedata
from collections.abc import Callable

CYRILLIC = str.maketrans("aceopxyiABCEHKMOPTX", "асеорхуіАВСЕНКМОРТХ")
GREEK = str.maketrans("aoviuktnABEHIKMNOPTXYZ", "αονιυκτηΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
LEET = str.maketrans("aeiostlbg", "43105718" + "9")
SIGNS = str.maketrans("aislo", "@!$|0")
TURNED = str.maketrans("abcdefghijklmnopqrtuvwy", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹʇnʌʍʎ")
SMALL_CAPITALS = str.maketrans("abcdefghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ")


def _letters(first: int, text: str) -> str:
    return "".join(chr(first + ord(c) - ord("a")) if "a" <= c <= "z" else c for c in text.lower())


def _between(sign: str, text: str) -> str:
    """Something between every two letters; words stay apart by a wider gap."""
    return "   ".join(sign.join(word) for word in text.split())


def _inside(sign: str, text: str) -> str:
    """A sign in the middle of every longer word."""
    return " ".join(w[: len(w) // 2] + sign + w[len(w) // 2 :] if len(w) > 3 else w for w in text.split())


def _stretched(text: str) -> str:
    return "".join(c * 3 if c in "aeiou" else c for c in text)


def _marked(text: str) -> str:
    return "".join(c + "\u0336" if c.isalpha() else c for c in text)


def _zalgo(text: str) -> str:
    chance = random.Random(text)
    return "".join(
        c + "".join(chance.choices("\u0300\u0301\u0323\u0327\u0353", k=2)) if c.isalpha() else c for c in text
    )


def _accented(text: str) -> str:
    marks = {
        "a": "\u00e1",
        "e": "\u00e8",
        "i": "\u00ef",
        "o": "\u00f6",
        "u": "\u00fb",
        "n": "\u00f1",
        "c": "\u00e7",
    }
    return "".join(marks.get(c, c) for c in text)


def _mixed(text: str) -> str:
    """A different trick on each word."""
    ways = (
        lambda w: w.translate(LEET) if len(w) > 4 else w,
        lambda w: w.translate(CYRILLIC),
        lambda w: "\u200b".join(w),
        _stretched,
        lambda w: _letters(0x1D41A, w),
    )
    return " ".join(ways[place % len(ways)](word) for place, word in enumerate(text.split()))


DISGUISES: dict[str, Callable[[str], str]] = {
    "full-width letters": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "mathematical bold": lambda text: _letters(0x1D41A, text),
    "mathematical script": lambda text: _letters(0x1D4EA, text),
    "circled letters": lambda text: _letters(0x24D0, text),
    "Cyrillic look-alikes": lambda text: text.translate(CYRILLIC),
    "Greek look-alikes": lambda text: text.translate(GREEK),
    "small capitals": lambda text: text.translate(SMALL_CAPITALS),
    "leetspeak": lambda text: " ".join(w.translate(LEET) if len(w) > 2 else w for w in text.split()),
    "signs for letters": lambda text: " ".join(w.translate(SIGNS) if len(w) > 2 else w for w in text.split()),
    "zero-width characters": lambda text: "\u200b".join(text),
    "soft hyphens": lambda text: "\u00ad".join(text),
    "spelled out with blanks": lambda text: _between(" ", text),
    "spelled out with hyphens": lambda text: _between("-", text),
    "spelled out with dots": lambda text: _between(".", text),
    "a hyphen inside words": lambda text: _inside("-", text),
    "a full stop inside words": lambda text: _inside(".", text),
    "stretched vowels": _stretched,
    "struck through": _marked,
    "stacked marks": _zalgo,
    "accents": _accented,
    "decomposed accents": lambda text: unicodedata.normalize("NFD", _accented(text)),
    "reversed": lambda text: text[::-1],
    "each word reversed": lambda text: " ".join(word[::-1] for word in text.split()),
    "without blanks": lambda text: "".join(text.split()),
    "underscores for blanks": lambda text: "_".join(text.split()),
    "alternating case": lambda text: "".join(c.upper() if i % 2 else c for i, c in enumerate(text)),
    "mixed, one trick a word": _mixed,
}

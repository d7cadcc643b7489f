"""The readings of one text: as it is, and as it is meant where it hides its words. Pure: standard library only.

Each disguise is undone only where that turns what is no word into a word, so that plain text has one reading and
benign text with numbers, names or another language keeps its own.
"""

import re
from functools import lru_cache

from safety.prefilter.folding import plain_letters
from safety.prefilter.normalise import normalise
from safety.prefilter.words import Words

LEET = str.maketrans(
    {
        "0": "o",
        "1": "i",
        "2": "z",
        "3": "e",
        "4": "a",
        "5": "s",
        "6": "g",
        "7": "t",
        "8": "b",
        "9": "g",
        "@": "a",
        "$": "s",
        "!": "i",
        "|": "l",
        "+": "t",
        "€": "e",
        "£": "l",
        "¢": "c",
        "§": "s",
        "&": "e",
        "(": "c",
        "%": "x",
    }
)
_OTHERS = {**LEET, **str.maketrans({"0": "u", "6": "b", "9": "q", "5": "z", "2": "s"})}
_EITHER = "1!|"
_SIGNS = "".join(map(chr, LEET))
MOST_SPELLINGS = 16
_APART = r"[\s.\-_*·•|/,~+:;'’\"^=<>]"
# Single letters with something between each two: "k i l l", "k-i-l-l", "k . i . l . l".
_SPACED = re.compile(rf"(?<![^\W_])(?:[\w@$!€£]{_APART}{{1,3}}){{3,}}[\w@$!€£](?![^\W_])")
_GAP = re.compile(r"\s{2,}|\s*[|/]\s*|(?<=\S)\s+(?=\S[-._*·•~])")
_REPEATED = re.compile(r"(.)\1{2,}")
_TWICE = re.compile(r"(.)\1")
_WORD = re.compile(r"[^\W\d_]+")
_EDGES = re.compile(r"^([^\w@$]*)(.*?)([^\w@$!]*)$", re.DOTALL)
LONGEST_WORD = 20  # of the segmentation
LEAST_LENGTH = 7  # of an unknown token that may be several words run together
MOST_RUN_TOGETHER = 400
TURNED_BELOW = 0.5  # of the runs of letters are words: the text may be written backwards
MOST_KNOWN = (
    0.6  # of the words of a whole sentence with underscores; a name of three or four has to be words alone
)
SENTENCE = 25  # letters: a run that long is no name, so a part of it may be one
UNKNOWN_LETTERS = 0.2  # of such a run
UNKNOWN_COST = 14.0  # per letter that belongs to no word
_AROUND = ".,;:?\"'()[]{}…“”‘’"  # what may stand around a word without hiding it
KEPT_TOKENS = 20_000  # texts are made of the same few thousand words
LONGEST_KEPT = 40


def readings(text: str, costs: Words) -> tuple[str, ...]:
    """The text normalised, and its meant forms where they differ. `costs` are the known words.

    There are two of them where the words were written backwards: which end of the text is its beginning isn't told.
    """
    plain = normalise(text)
    if _plain_words(text, plain, costs):
        return (plain,)
    meant, turned = deciphered(text, costs)
    if meant == plain or _known_share(meant, costs) <= _known_share(plain.replace("_", ""), costs):
        return (plain,)
    other_end = [" ".join(reversed(meant.split()))] if turned else []
    return tuple(dict.fromkeys((plain, meant, *other_end)))


def for_scoring(text: str, kind: str, forms: tuple[str, ...]) -> tuple[str, ...]:
    """What the later stages are asked about, of the readings of a text: code as it stands in its lines.

    Where a comment ends only its line says; the readings have none. What was hidden is asked as it was read.
    """
    if kind != "code" or "\n" not in text:
        return forms
    lined = "\n".join(filter(None, map(normalise, text.splitlines())))
    return tuple(dict.fromkeys((lined, *forms[1:])))


def _plain_words(text: str, plain: str, costs: Words) -> bool:
    """Whether a text is made of known words and numbers alone, as most are: then there is nothing to undo."""
    if not text.isascii() or _SPACED.search(text):
        return False
    bare = (token.strip(_AROUND) for token in plain.split(" "))
    return all(one in costs or one.isdecimal() or not one for one in bare)


def deciphered(text: str, costs: Words) -> tuple[str, bool]:
    """The text without look-alikes, spelled-out letters, leetspeak, stretched or joined words, or reversal.

    And whether it was turned round.
    """
    # Capitals first: a Greek Ν looks like N, and once its case is folded like v.
    folded = plain_letters(normalise_blanks(plain_letters(text)))
    joined = _SPACED.sub(lambda match: _together(match[0], costs), folded)
    straight = _turned(joined, costs) if _known_share(joined, costs) < TURNED_BELOW else joined
    tokens = [_token(token, costs) for token in _rejoined(straight.split(), costs)]
    return " ".join(" ".join(tokens).split()), straight != joined


def normalise_blanks(text: str) -> str:
    """As `normalise`, but runs of blanks stay: between spelled-out letters a longer one ends a word."""
    if text.isascii():
        return text.lower()
    lines = re.split(r"(\s+)", text)
    return "".join(part if part.isspace() else normalise(part) for part in lines)


def _together(spelled: str, costs: Words) -> str:
    """Spelled-out letters as words: longer gaps part them, or else the words are found in the run."""
    words = ["".join(re.sub(_APART, "", part)) for part in _GAP.split(spelled)]
    return " ".join(_token(word, costs) for word in words if word)


def _turned(text: str, costs: Words) -> str:
    """Read from its end, as a whole or word by word, where that gives more words; else as it is."""
    backwards = text[::-1]
    each = " ".join(word[::-1] for word in text.split())
    best = max((text, backwards, each), key=lambda one: _known_share(one, costs))
    return best if _known_share(best, costs) > _known_share(text, costs) + 0.3 else text


def _known_share(text: str, costs: Words) -> float:
    """How many of the runs of letters are words, from 0 to 1; 1 where there are none."""
    words = _WORD.findall(text)
    return sum(word in costs for word in words) / len(words) if words else 1.0


def _token(token: str, costs: Words) -> str:
    """One token as the word it stands for; unchanged where no change makes it known."""
    bare = token.strip(_AROUND)
    if not bare or bare in costs or bare.isdecimal():
        return token
    return (_kept if len(token) <= LONGEST_KEPT else _undone)(token, bare, costs)


def _undone(token: str, bare: str, costs: Words) -> str:
    if known := [one for one in _candidates(bare) if one in costs and (len(one) > 1 or one in "ai")]:
        return min(known, key=costs.__getitem__)
    parts = bare.split("_")
    if len(parts) > 2 and sum(part in costs for part in parts) >= (1 if len(parts) < 5 else MOST_KNOWN) * len(
        parts
    ):
        return bare.replace("_", " ")
    letters = _letters(bare)
    if LEAST_LENGTH <= len(letters) <= MOST_RUN_TOGETHER and (found := _segmented(letters, costs)):
        return found
    return token


_kept = lru_cache(KEPT_TOKENS)(_undone)


def _candidates(token: str) -> list[str]:
    """The words that a token may hide. Where signs stand for letters, its letters alone are none of them."""
    forms = [token]
    if any(sign in token for sign in _SIGNS):
        edged = _EDGES.match(token)[2]
        forms = [one for base in dict.fromkeys((token, edged)) for one in _spelled(base)]
    found = []
    for form in forms:
        letters = "".join(_WORD.findall(form))
        squeezed = _REPEATED.sub(r"\1\1", letters)
        found += [
            letters,
            squeezed,
            _REPEATED.sub(r"\1", letters),
            _TWICE.sub(r"\1", squeezed),
            _halved(letters),
        ]
    return list(dict.fromkeys(one for one in found if one != token))


def _spelled(token: str) -> list[str]:
    """The token with signs as letters: each of those that may be an i or an l as both, where they are few."""
    forms = [token]
    for place, sign in enumerate(token):
        if sign in _EITHER and len(forms) < MOST_SPELLINGS:
            forms = [form[:place] + letter + form[place + 1 :] for form in forms for letter in "il"]
    return [form.translate(table) for form in forms for table in (LEET, _OTHERS)]


def _halved(letters: str) -> str:
    """Where every letter stands twice, once each: "kkiillll" was "kill"."""
    if len(letters) % 2 or letters[::2] != letters[1::2]:
        return letters
    return letters[::2]


def _letters(token: str) -> str:
    if not _WORD.search(token):
        return ""
    letters = "".join(_WORD.findall(token.translate(LEET)))
    return _REPEATED.sub(r"\1", letters)


def _segmented(letters: str, costs: Words) -> str | None:
    """The likeliest words that the letters are made of (Viterbi over word costs); None where they are no words."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(letters) + 1):
        options = [(best[end - 1][0] + UNKNOWN_COST, end - 1)]
        for start in range(max(0, end - LONGEST_WORD), end):
            cost = costs.get(letters[start:end])
            if cost is not None:
                # A short word has to earn its place: names fall apart into "an", "in" and "me" otherwise.
                options.append((best[start][0] + cost + (4.0 if end - start < 3 else 0.0), start))
        best.append(min(options))
    words, end = [], len(letters)
    while end:
        start = best[end][1]
        words.append(letters[start:end])
        end = start
    words.reverse()
    unknown = sum(len(word) for word in words if word not in costs)
    allowed = UNKNOWN_LETTERS * len(letters) if len(letters) >= SENTENCE else 0
    if unknown > allowed or len(words) - unknown > len(letters) / 3:
        return None
    return " ".join(words)


def _rejoined(tokens: list[str], costs: Words) -> list[str]:
    """Neighbours that are words together and not apart: "vio lence"."""
    found: list[str] = []
    for token in tokens:
        if found and token.isalpha() and found[-1].isalpha():
            both = found[-1] + token
            if both in costs and len(both) > 4 and not (found[-1] in costs and token in costs):
                found[-1] = both
                continue
        found.append(token)
    return found

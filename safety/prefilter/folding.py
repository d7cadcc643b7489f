"""What a letter stands for to the eye: look-alikes, dressed-up and combined letters to plain ones. Pure."""

import re
import unicodedata
from functools import lru_cache

# Letters of other scripts that look like Latin ones. By look, not by sound; Unicode's names give the others.
_LOOKALIKES = {
    # Cyrillic
    **dict(zip("аАвВеЕзЗіІјЈкКмМнНоОрРсСтТуУхХѕЅԁԛԜԝ", "aAbBeE33iIjJkKmMhHoOpPcCtTyYxXsSdqWw", strict=True)),
    **dict(zip("бгийлпчшщъьыэюяёдһӏґєї", "brnnnn4wwbbbeoredhlrei", strict=True)),
    # Greek
    **dict(
        zip("αΑβΒγΓεΕζΖηΗιΙκΚμΜνΝοΟπρΡςσΣτΤυΥφχΧωΩϲϹ", "aAbByreEzZnHiIkKuMvNoOnpPcoEtTuYoxXwOcC", strict=True)
    ),
    # Armenian, Cherokee, Hebrew, Arabic and Thai digits, and others that are used for it
    **dict(zip("օսոհցզԼՏԱԲ", "ounhgqLSUB", strict=True)),
    **dict(zip("ᎪᏴᏟᎠᎬᎻᎫᏦᏞᎷᏃᏢᏒᏚᎢᏙᏔᎩᏃᎥᏮᏂᎶᏎᏆ", "ABCDEHJKLMZPRSTVWYZivhG4T", strict=True)),
    **dict(zip("ƅɑɡɩɪʟɴʀʏʙɢʜʍⅼ∨∪∩∈∃∀ⵏⵔ", "bagiilnrybghml" + "vunEEAiO", strict=True)),
    # turned letters
    **dict(zip("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʎ∀ꓭƆꓷƎℲ⅁ꓩꓘ˥Ԁꓤꓕ∩Λ⅄", "acefghijkmrtvyABCDEFGJKLPRTUVY", strict=True)),
}
_NAMED = re.compile(
    r"^(?:LATIN (?:CAPITAL |SMALL )?(?:LETTER )(?:SMALL CAPITAL |TURNED |REVERSED |OPEN |DOTLESS |INVERTED )?"
    r"|(?:NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED|FULLWIDTH|CROSSED|TORTOISE SHELL BRACKETED) "
    r"(?:NEGATIVE )?(?:LATIN )?(?:CAPITAL |SMALL )?(?:LETTER )?"
    r"|REGIONAL INDICATOR SYMBOL LETTER |MODIFIER LETTER (?:SMALL |CAPITAL )|COMBINING LATIN SMALL LETTER )"
    r"([A-Z])(?: WITH .*)?$"
)


def plain_letters(text: str) -> str:
    """The text with every look-alike as the letter it looks like; other letters, and marks of other scripts, stay."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(_plain(character) for character in decomposed)


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character) in ("Mn", "Me"):
        # Accents of Latin letters go; the vowel signs of other scripts (Mc, and Mn of Indic ones) are letters.
        return "" if "COMBINING" in unicodedata.name(character, "") else character
    if character in _LOOKALIKES:
        return _LOOKALIKES[character]
    named = _NAMED.match(unicodedata.name(character, ""))
    return named[1].lower() if named else character

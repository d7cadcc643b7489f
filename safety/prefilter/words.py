"""Common English words by how common they are, to tell a word from a disguise. Read at first use."""

import math
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("words.txt")  # the whole words of the encoder's vocabulary, commonest first


class Words(dict[str, float]):
    """word → its cost. One list of words is itself alone, so that what was found with it can be remembered."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


@cache
def costs() -> Words:
    """word → its cost, the logarithm of how rare it is: by Zipf's law the word of rank n is as frequent as 1/n."""
    words = PATH.read_text().split()
    scale = math.log(len(words))
    return Words({word: math.log((rank + 1) * scale) for rank, word in enumerate(words)})

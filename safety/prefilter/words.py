"""Common English words by how common they are, to tell a word from a disguise. Read at first use."""

import math
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("words.txt")  # the whole words of the encoder's vocabulary, commonest first


@cache
def costs() -> dict[str, float]:
    """word → its cost, the logarithm of how rare it is: by Zipf's law the word of rank n is as frequent as 1/n."""
    words = PATH.read_text().split()
    scale = math.log(len(words))
    return {word: math.log((rank + 1) * scale) for rank, word in enumerate(words)}

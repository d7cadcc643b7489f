"""Counting tokens and finding the context length without torch, for admission in a web process."""

import json
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from generation.engines.errors import ModelUnavailable


def count(folder: Path, text: str) -> int:
    """Tokens that the model in `folder` reads for `text`, its start token included."""
    return len(tokenizer_of(folder).encode(text).ids)


def tokenizer_of(folder: Path) -> Tokenizer:
    """The folder's tokenizer, loaded once per version of its file. Safe to share between threads."""
    path = folder / "tokenizer.json"
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    return _load(str(path), stat.st_mtime_ns, stat.st_size)


def context_length(folder: Path) -> int:
    """Tokens that prompt and answer together may have."""
    path = folder / "config.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["max_position_embeddings"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailable(f"{path} does not give max_position_embeddings: {error!r}") from error


@lru_cache(maxsize=16)
def _load(path: str, _modified_ns: int, _size: int) -> Tokenizer:
    # The time and size are in the key so that a folder swapped under a running process is read again.
    # The library raises a bare Exception for a bad file, so what can go wrong in practice is looked for first.
    try:
        content = Path(path).read_text(encoding="utf-8")
        whole = "model" in json.loads(content)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    if not whole:
        raise ModelUnavailable(f"{path} is not a tokenizer: it has no model.")
    tokenizer = Tokenizer.from_str(content)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # A prompt that spells "</s>" is text about a token, not the token.
    tokenizer.encode_special_tokens = True
    return tokenizer

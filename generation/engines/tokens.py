"""Counting tokens and finding the context length without torch, for admission in a web process."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from generation.engines import chat_template
from generation.engines.asked import Message
from generation.engines.errors import ModelUnavailable


def count(folder: Path, text: str, messages: Sequence[Message] = ()) -> int:
    """Tokens that the model in `folder` reads for `text`, or for a conversation; its start token included."""
    return len(ids(folder, text, messages))


def ids(folder: Path, text: str, messages: Sequence[Message] = ()) -> list[int]:
    """The tokens themselves: of the conversation where there is one, as the folder's template writes it."""
    tokenizer = tokenizer_of(folder)
    template = chat_template.of_folder(folder) if messages else None
    if template is None:
        return tokenizer.encode(chat_template.plain(messages) if messages else text).ids
    return template.ids(tokenizer, messages)


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


def end_ids(folder: Path) -> frozenset[int]:
    """The tokens with which the model ends an answer; of its generation settings, or of its configuration."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        try:
            ends = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.exists() else None
        except (OSError, ValueError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset()


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

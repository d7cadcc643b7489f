"""A conversation as the model reads it: by the chat template in its folder, or plainly where it has none.

What people write never becomes markup: a message that spells `<|im_end|>` is text about a token, not the token. So the
template's own special tokens are told apart from the same letters in a message, and only they are encoded as tokens.
No torch and no transformers, since admission counts with it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from generation.engines.asked import Message
from generation.engines.errors import ModelUnavailable, UnsupportedWork

# Put into special tokens that a message spells, and taken out again; the first that no message has.
MARKS = [chr(code) for code in range(0xE0F0, 0xE100)]


def plain(messages: Sequence[Message]) -> str:
    """The texts one after the other, a blank line between them: a model that was never taught to converse goes on
    behind the last one."""
    return "\n\n".join(message.content for message in messages)


def of_folder(folder: Path) -> "ChatTemplate | None":
    """The folder's template, read once per version of its files; None where it has none. Raises ModelUnavailable."""
    paths = (
        folder / "chat_template.jinja",
        folder / "tokenizer_config.json",
        folder / "tokenizer.json",
    )
    return _read(str(folder), tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths))


@dataclass(frozen=True)
class ChatTemplate:
    """A compiled template with the special tokens of its tokenizer."""

    template: Template
    named: Mapping[str, str]
    special: Mapping[str, int]

    def ids(self, tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
        """The tokens up to where the assistant's turn begins. Raises UnsupportedWork where the template refuses."""
        mark = next((one for one in MARKS if not any(one in message.content for message in messages)), None)
        if mark is None:
            raise UnsupportedWork("The messages use characters that are set aside here.")
        known = re.compile("|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) or r"(?!)")
        text = self._written(
            [{"role": one.role, "content": known.sub(_broken(mark), one.content)} for one in messages]
        )
        found: list[int] = []
        end = 0
        for token in known.finditer(text):
            found += _plain_ids(tokenizer, text[end : token.start()].replace(mark, ""))
            found.append(self.special[token.group()])
            end = token.end()
        return found + _plain_ids(tokenizer, text[end:].replace(mark, ""))

    def _written(self, turns: list[dict[str, str]]) -> str:
        try:
            return self.template.render(messages=turns, add_generation_prompt=True, **self.named)
        except TemplateError as error:
            raise UnsupportedWork(f"The model's chat template refuses this conversation: {error}") from error


def _broken(mark: str):
    return lambda token: token.group()[:1] + mark + token.group()[1:]


def _plain_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids if text else []


@lru_cache(maxsize=16)
def _read(folder: str, _versions: tuple[int, ...]) -> ChatTemplate | None:
    config = _json(Path(folder) / "tokenizer_config.json")
    own = Path(folder) / "chat_template.jinja"
    written = own.read_text(encoding="utf-8") if own.exists() else config.get("chat_template")
    if isinstance(written, list):  # several by name
        written = next((one["template"] for one in written if one.get("name") == "default"), None)
    if not written:
        return None
    special = {
        token["content"]: token["id"]
        for token in _json(Path(folder) / "tokenizer.json").get("added_tokens", [])
        if token.get("special")
    }
    return ChatTemplate(_compiled(written, folder), _named(config), special)


def _compiled(written: str, folder: str) -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    try:
        return environment.from_string(written)
    except TemplateError as error:
        raise ModelUnavailable(f"The chat template of {folder} can't be read: {error}") from error


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _named(config: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like, which templates use by name."""
    found = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = config.get(name)
        found[name] = (value or {}).get("content", "") if isinstance(value, dict) else value or ""
    return found


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelUnavailable(f"{path} is no JSON: {error}") from error

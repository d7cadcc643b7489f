"""A request for code in whichever contract, as the fields that admission takes, and how its answer is wanted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from accounts.errors import ApiError
from generation.api.fields import idempotency_key, known_only, request_fields
from generation.code import conversation
from generation.code.dialects import TAGS, Dialect
from generation.engines.asked import Message

BACKLOT = ("partial", "language", "background", "json_schema", "regex", "grammar")
STREAM_OPTIONS = ("include_usage", "include_obfuscation")


@dataclass(frozen=True)
class Asked:
    """`fields` decide what is made, the rest how it is handed over."""

    fields: dict[str, Any]
    key: str | None
    stream: bool
    include_usage: bool


def read(
    request: HttpRequest, dialect: Dialect, messages: Callable[[dict], tuple[Message, ...]] | None = None
) -> Asked:
    """The request, checked as far as it can be without its model. `messages` reads a conversation out of the fields.

    Raises ApiError that names the field.
    """
    fields = known_only(request_fields(request), dialect.fields)
    stream, usage = _stream_options(fields)
    for tag in TAGS:
        fields.pop(tag, None)
    fields["dialect"] = dialect.name
    fields["background"] = _flag(fields, "background") or _backlot(fields)
    if messages is not None:
        fields["prompt"], fields["turns"] = conversation.joined(messages(fields))
    return Asked(fields, idempotency_key(request), stream, usage)


def _stream_options(fields: dict[str, Any]) -> tuple[bool, bool]:
    """(stream it?, with a usage chunk?), taken out of the fields, since they don't change what is made."""
    stream, options = _flag(fields, "stream"), fields.pop("stream_options", None)
    fields.pop("stream", None)
    if options is not None and not isinstance(options, Mapping):
        raise ApiError("invalid_type", "`stream_options` has to be an object.", param="stream_options")
    for name, value in (options or {}).items():
        param = f"stream_options.{name[:40]}"
        if name not in STREAM_OPTIONS:
            message = f"`{param}` is not known here. There is: {', '.join(STREAM_OPTIONS)}."
            raise ApiError("invalid_value", message, param=param)
        if not isinstance(value, bool):
            raise ApiError("invalid_type", f"`{param}` has to be true or false.", param=param)
    if (options or {}).get("include_obfuscation"):
        message = "Streams here are not padded. Leave stream_options.include_obfuscation out."
        raise ApiError("invalid_value", message, param="stream_options.include_obfuscation")
    return stream, (options or {}).get("include_usage", False)


def _backlot(fields: dict[str, Any]) -> bool:
    """What Backlot adds to every contract, under one field; whether the work is to outlive its reader."""
    asked = fields.get("backlot")
    if asked is None:
        return False
    if not isinstance(asked, Mapping):
        raise ApiError("invalid_type", "`backlot` has to be an object.", param="backlot")
    for name in asked:
        if name not in BACKLOT:
            message = f"`backlot.{name[:40]}` is not known here. There is: {', '.join(BACKLOT)}."
            raise ApiError("invalid_value", message, param=f"backlot.{name[:40]}")
    return _flag(asked, "background", "backlot.")


def _flag(fields: Mapping[str, Any], name: str, within: str = "") -> bool:
    value = fields.get(name)
    if value not in (None, True, False) or isinstance(value, int) and not isinstance(value, bool):
        raise ApiError("invalid_type", f"`{within}{name}` has to be true or false.", param=f"{within}{name}")
    return bool(value)

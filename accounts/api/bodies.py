"""A JSON body as plain values: strict where Python is lenient, and nothing that the database cannot hold."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from accounts.errors import ApiError

JSON = "application/json"
SURROGATE = re.compile(r"[\ud800-\udfff]")
MOST_DEPTH = 20


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The object that was sent, to a call that takes JSON alone. Raises `ApiError` unsupported_media_type as well."""
    require_plain(request)
    if request.content_type != JSON:
        raise ApiError("unsupported_media_type", f"Send {JSON}; this request says {_named(request)}.")
    fields = json_object(request.body)
    require_storable(fields)
    return fields


def require_plain(request: HttpRequest) -> None:
    """Refuse a compressed body: a few bytes would become any number of them."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiError("unsupported_media_type", "Send the body without a Content-Encoding.")


def _named(request: HttpRequest) -> str:
    return repr(request.content_type[:80]) if request.content_type else "nothing"


def json_object(body: bytes) -> dict[str, Any]:
    """The object of a JSON text in UTF-8. Raises `ApiError` malformed_body, also where a name comes twice, a number is
    none that a computer can hold, or the text is no object."""
    try:
        value = json.loads(
            body.decode(), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_each_once
        )
    except (ValueError, RecursionError) as error:
        raise ApiError("malformed_body", f"The body is not valid JSON: {_reason(error)}.") from error
    if not isinstance(value, dict):
        raise ApiError("malformed_body", 'The body has to be a JSON object, as in {"prompt": "…"}.')
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is larger than any number here")
    return number


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values under one name a reader would take either: which one was meant, nobody can tell."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"it names {twice[:80]!r} twice")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start}"
    return str(error).split("; use sys.")[0]  # Python's advice about its own limit on digits helps no client


def require_storable(fields: Mapping[str, Any]) -> None:
    """Refuse what PostgreSQL can't hold, naming the field: NUL, half a surrogate pair, too deep a nesting.

    A prompt has rules of its own about control characters, with codes of their own, in generation's specs.
    """
    for name, value in fields.items():
        _check_text(name, name)
        _check(name, value, MOST_DEPTH)


def _check(name: str, value: Any, depth: int) -> None:
    if depth == 0:
        raise ApiError("invalid_value", f"`{name}` is nested too deeply.", param=name)
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_text(name, key)
            _check(name, inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check(name, inner, depth - 1)


def _check_text(name: str, text: str) -> None:
    shown = name[:80].encode(errors="replace").decode()
    if "\x00" in text and name != "prompt":
        raise ApiError("invalid_value", f"`{shown}` contains a NUL character.", param=shown)
    if SURROGATE.search(text):
        message = f"`{shown}` contains half a surrogate pair, which is no text."
        raise ApiError("invalid_value", message, param=shown)

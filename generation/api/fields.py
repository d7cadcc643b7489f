"""What a request carried, as plain values: the raw fields that specs.py judges, and nothing the database can't hold.

The stock client sends clips as multipart even without a file, and completions as JSON; both calls take either.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError

from accounts.errors import ApiError

JSON = "application/json"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
PRINTABLE = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,254}")
SURROGATE = re.compile(r"[\ud800-\udfff]")
MOST_DEPTH = 20


def request_fields(request: HttpRequest, files: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a JSON or form body, in their raw types; a file, where `files` names its field, as an UploadedFile.

    Raises ApiError: unsupported_media_type, malformed_body, request_too_large, or invalid_value for text that no
    database takes (NUL, half a surrogate pair).
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiError("unsupported_media_type", "Send the body without a Content-Encoding.")
    if request.content_type == JSON:
        fields = _json_fields(request.body)
    elif request.content_type in FORMS:
        fields = _form_fields(request)
    else:
        raise ApiError(
            "unsupported_media_type",
            f"Send {JSON} or {FORMS[0]}; this request says {request.content_type or 'nothing'!r}.",
        )
    for name, value in fields.items():
        if isinstance(value, UploadedFile) and name not in files:
            raise ApiError("invalid_type", f"`{name}` takes no file.", param=name)
        _check_storable(name, value, MOST_DEPTH)
    return fields


def idempotency_key(request: HttpRequest) -> str | None:
    """The Idempotency-Key header: 1 to 255 printable ASCII characters, or None where none was sent."""
    key = request.headers.get("Idempotency-Key")
    if key is None or PRINTABLE.fullmatch(key):
        return key
    raise ApiError(
        "invalid_value",
        "Idempotency-Key takes 1 to 255 printable ASCII characters. Nothing was queued or charged.",
        param="Idempotency-Key",
    )


def _json_fields(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError("malformed_body", f"The body is not valid JSON: {_reason(error)}.") from error
    if not isinstance(value, dict):
        raise ApiError("malformed_body", 'The body has to be a JSON object, as in {"prompt": "…"}.')
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).split("; use sys.")[0]  # Python's advice about its own limit on digits helps no client


def _form_fields(request: HttpRequest) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = dict(request.POST.items())
        files = dict(request.FILES.items())
    except SuspiciousOperation as error:
        raise ApiError("request_too_large", "The form has too many fields or files.") from error
    except MultiPartParserError as error:
        raise ApiError("malformed_body", f"The form could not be read: {error}.") from error
    return fields | files


def _check_storable(name: str, value: Any, depth: int) -> None:
    """Refuse what PostgreSQL can't hold. A prompt has rules of its own, with codes of their own, in specs.py."""
    if depth == 0:
        raise ApiError("invalid_value", f"`{name}` is nested too deeply.", param=name)
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_text(name, key)
            _check_storable(name, inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_storable(name, inner, depth - 1)


def _check_text(name: str, text: str) -> None:
    if "\x00" in text and name != "prompt":
        raise ApiError("invalid_value", f"`{name}` contains a NUL character.", param=name)
    if SURROGATE.search(text):
        raise ApiError(
            "invalid_value", f"`{name}` contains half a surrogate pair, which is no text.", param=name
        )


def known_only(fields: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The fields, where this call knows them all: one that would be ignored silently is refused by name."""
    for name in fields:
        if name not in known and name != "csrfmiddlewaretoken":
            message = f"This call takes no `{name[:80]}`. It takes: {', '.join(known)}."
            raise ApiError("invalid_value", message, param=name[:80])
    return {name: value for name, value in fields.items() if name in known}

"""What a request carried, as plain values: the raw fields that specs.py judges, and nothing the database can't hold.

The stock client sends clips as multipart even without a file, and completions as JSON; both calls take either.
"""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError

from accounts.api.bodies import JSON, json_object, require_plain, require_storable
from accounts.api.once import idempotency_key
from accounts.errors import ApiError

__all__ = ["idempotency_key", "known_only", "request_fields"]

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def request_fields(request: HttpRequest, files: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a JSON or form body, in their raw types; a file, where `files` names its field, as an UploadedFile.

    Raises ApiError: unsupported_media_type, malformed_body, request_too_large, or invalid_value for text that no
    database takes (NUL, half a surrogate pair).
    """
    require_plain(request)
    if request.content_type == JSON:
        fields = json_object(request.body)
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
    require_storable(fields)
    return fields


def _form_fields(request: HttpRequest) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = dict(request.POST.items())
        files = dict(request.FILES.items())
    except SuspiciousOperation as error:
        raise ApiError("request_too_large", "The form has too many fields or files.") from error
    except MultiPartParserError as error:
        raise ApiError("malformed_body", f"The form could not be read: {error}.") from error
    return fields | files


def known_only(fields: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The fields, where this call knows them all: one that would be ignored silently is refused by name."""
    for name in fields:
        if name not in known and name != "csrfmiddlewaretoken":
            message = f"This call takes no `{name[:80]}`. It takes: {', '.join(known)}."
            raise ApiError("invalid_value", message, param=name[:80])
    return {name: value for name, value in fields.items() if name in known}

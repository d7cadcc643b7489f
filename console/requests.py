"""Every request has an id, every error is plain: one JSON shape under /v1, /api and /media, a plain page elsewhere.

A traceback goes to the log, with the request id, and never to a client, whatever DEBUG says.
"""

import logging
import re
import uuid

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils.decorators import sync_only_middleware

from accounts.errors import ApiError

logger = logging.getLogger("backlot.requests")

API_ROOTS = ("v1", "api", "media")
# Errors that reach us as a bare status, from the router or from Django itself.
BY_STATUS = {
    400: ("malformed_body", "The request could not be read. Check its syntax and its encoding."),
    403: ("insufficient_scope", "This is not allowed with the credentials that were sent."),
    404: ("not_found", "There is nothing at this address. Check the path and the id."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("request_too_large", "The request is larger than this service takes."),
    415: ("unsupported_media_type", "Send application/json or multipart/form-data."),
}
# After PostgreSQL was stopped, each kept connection fails once before it is replaced.
DATABASE_BACK_S = 2
DATABASE_AWAY = (
    "The database could not take this request just now. Send it again in a moment: with the same Idempotency-Key it "
    "is done once."
)
INTERNAL = "Something failed on our side and was logged. Quote the request id when you report it."


# How a path that names one clip is written in REQUEST_BYTES_AT.
ONE_CLIP = re.compile(r"^/v1/videos/video_[0-9a-f]{32}/")


def new_request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


def is_api(path: str) -> bool:
    """Whether errors at this path are JSON."""
    return path.lstrip("/").split("/", 1)[0] in API_ROOTS


def limit_of(path: str, content_type: str) -> int:
    """How many bytes a request at this path may carry; only a form with files may carry more than any other."""
    if not content_type.lower().startswith("multipart/form-data"):
        return settings.MAX_REQUEST_BYTES
    named = ONE_CLIP.sub("/v1/videos/*/", path.rstrip("/"))
    return settings.REQUEST_BYTES_AT.get(named, settings.MAX_REQUEST_BYTES)


def too_large(limit: int) -> ApiError:
    return ApiError(
        "request_too_large",
        f"The body is over {limit:,} bytes, the most that one request may carry. Nothing was queued or charged.",
    )


def from_status(status: int) -> ApiError:
    """The table's error for a bare HTTP status."""
    if status >= 500:
        return ApiError("internal_error", INTERNAL)
    code, message = BY_STATUS.get(status, BY_STATUS[400])
    return ApiError(code, message)


def from_exception(exception: Exception) -> ApiError:
    """The table's error for an exception that left a view."""
    if isinstance(exception, ApiError):
        return exception
    if isinstance(exception, Http404):
        return from_status(404)
    if isinstance(exception, PermissionDenied):
        return from_status(403)
    if isinstance(exception, SuspiciousOperation | BadRequest | MultiPartParserError):
        return from_status(400)
    if isinstance(exception, OperationalError | InterfaceError):
        return ApiError("server_is_overloaded", DATABASE_AWAY, retry_after_s=DATABASE_BACK_S)
    return from_status(500)


def render_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    """The error as its reader wants it: JSON under the API's roots, a plain page elsewhere."""
    request_id = identity_of(request)
    if is_api(request.path_info):
        response = JsonResponse(error.body(request_id), status=error.status)
    else:
        page = {"status": error.status, "message": error.message, "request_id": request_id}
        response = HttpResponse(render_to_string("errors/plain.html", page), status=error.status)
    for name, value in error.response_headers().items():
        response[name] = value
    response.is_plain_error, response.error_code = True, error.code
    return response


def identity_of(request: HttpRequest) -> str:
    """The request's id; given here where a test or an early failure came before the middleware."""
    if not hasattr(request, "request_id"):
        request.request_id = new_request_id()
    return request.request_id


def report(request: HttpRequest, exception: Exception) -> None:
    """An unexpected exception, with its traceback, to the log."""
    logger.error(
        "unexpected %s at %s %s, %s",
        type(exception).__name__,
        request.method,
        request.path_info,
        identity_of(request),
        exc_info=exception,
    )


class RequestIdentity:
    """Around what answers: gives the request its id, refuses bodies that are too large, makes stray errors plain."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        return self._answer_async(request) if self.is_async else self._answer(request)

    def _answer(self, request):
        identity_of(request)
        return self._finish(request, self._refusal(request) or self.get_response(request))

    async def _answer_async(self, request):
        identity_of(request)
        return self._finish(request, self._refusal(request) or await self.get_response(request))

    def _refusal(self, request) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit():
            return render_error(request, from_status(400))
        limit = limit_of(request.path_info, request.content_type or "")
        return render_error(request, too_large(limit)) if int(length) > limit else None

    def _finish(self, request, response):
        if _is_stray(request, response):
            allowed = response.get("Allow")
            response = render_error(request, from_status(response.status_code))
            if allowed:
                response["Allow"] = allowed
        response["X-Request-Id"] = request.request_id
        return response


def _is_stray(request, response) -> bool:
    """An error that nobody wrote for this reader: Django's own page, or plain text where JSON is due."""
    if response.status_code < 400 or getattr(response, "is_plain_error", False):
        return False
    if is_api(request.path_info):
        known = response.status_code in BY_STATUS or response.status_code >= 500
        return known and not response.get("Content-Type", "").startswith("application/json")
    return request.resolver_match is None or response.status_code == 500


@sync_only_middleware
def in_one_thread(get_response):
    """Innermost and empty: one that is synchronous makes those around it so, in one thread.

    Otherwise each of them would change threads twice for every request, which cost a third of a request's time.
    """
    return get_response


class PlainErrors:
    """Innermost: an exception that leaves a view becomes the error of the table before Django's pages see it."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        error = from_exception(exception)
        if error.status >= 500 and not isinstance(exception, ApiError):
            report(request, exception)
        return render_error(request, error)
